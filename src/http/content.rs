//! The body of a response as segments, so that bytes shared by many responses are never copied.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A piece of a response body.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Bytes of the program itself.
    Static(&'static [u8]),
    /// Bytes of this response alone.
    Owned(Vec<u8>),
    /// Bytes that many responses share, such as a policy revision's compressed prefix.
    Shared(Arc<[u8]>),
    /// Some of such bytes.
    Part(Arc<[u8]>, Range<usize>),
}

impl Segment {
    /// So much of `bytes`; `None` if there is not so much.
    pub fn part(bytes: Arc<[u8]>, range: Range<usize>) -> Option<Self> {
        bytes.get(range.clone())?;
        Some(Self::Part(bytes, range))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            // what `part` has looked at
            Self::Part(bytes, range) => bytes.get(range.clone()).unwrap_or_default(),
        }
    }

    /// Bytes of this segment.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Without a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `length` bytes alone.
    pub(super) fn cut(self, length: usize) -> Self {
        match self {
            Self::Static(bytes) => Self::Static(&bytes[..length.min(bytes.len())]),
            Self::Owned(mut bytes) => {
                bytes.truncate(length);
                Self::Owned(bytes)
            }
            Self::Shared(bytes) if length >= bytes.len() => Self::Shared(bytes),
            Self::Shared(bytes) => Self::Part(bytes, 0..length),
            Self::Part(bytes, range) => {
                let end = range.end.min(range.start.saturating_add(length));
                Self::Part(bytes, range.start..end)
            }
        }
    }
}

impl From<Vec<u8>> for Segment {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Arc<[u8]>> for Segment {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::Shared(bytes)
    }
}

impl From<&'static [u8]> for Segment {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Static(bytes)
    }
}

/// A response body: complete, or streamed through [`super::HttpConnection::push`].
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub(super) segments: VecDeque<Segment>,
    pub(super) extent: Extent,
}

/// How much of a body is still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it is there.
    #[default]
    Complete,
    /// So many bytes will be pushed.
    Streamed(u64),
    /// Nobody knows yet how many bytes will be pushed.
    Unknown,
}

impl Body {
    /// All its bytes, if they are one piece.
    pub fn whole(&self) -> Option<&[u8]> {
        match (self.segments.len(), self.extent) {
            (1, Extent::Complete) => self.segments.front().map(Segment::as_bytes),
            _ => None,
        }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of `length` bytes whose segments follow through [`super::HttpConnection::push`].
    pub fn streamed(length: u64) -> Self {
        Self { segments: VecDeque::new(), extent: Extent::Streamed(length) }
    }

    /// A body of unknown length whose segments follow through [`super::HttpConnection::push`] and
    /// end with [`super::HttpConnection::finish`]: chunked on HTTP/1.1, ended by the close on 1.0.
    pub fn chunked() -> Self {
        Self { segments: VecDeque::new(), extent: Extent::Unknown }
    }

    /// Bytes of the whole body; `None` where they are not known in advance.
    pub fn len(&self) -> Option<u64> {
        match self.extent {
            Extent::Complete => Some(self.segments.iter().map(|segment| segment.len() as u64).sum()),
            Extent::Streamed(length) => Some(length),
            Extent::Unknown => None,
        }
    }

    /// Whether nothing of it is still to be pushed.
    pub fn is_complete(&self) -> bool {
        self.extent == Extent::Complete
    }

    /// What is there of it, in order.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Known to be without a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl FromIterator<Segment> for Body {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        let segments = segments.into_iter().filter(|segment| !segment.is_empty()).collect();
        Self { segments, extent: Extent::Complete }
    }
}

impl From<Segment> for Body {
    fn from(segment: Segment) -> Self {
        // a single segment, and room for the head in front of it
        let mut segments = VecDeque::with_capacity(2);
        if !segment.is_empty() {
            segments.push_back(segment);
        }
        Self { segments, extent: Extent::Complete }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Segment::Owned(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Segment::Static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Self {
        Segment::Shared(bytes).into()
    }
}
