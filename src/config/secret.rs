//! Text that must not be shown: tokens, passphrases, keys, header values.

use subtle::ConstantTimeEq;

/// A secret text. It has neither `Debug` nor `Display`, so no log line or error can print it by
/// accident; whoever needs the text says so with [`Secret::expose`].
#[derive(Clone, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty; an empty secret counts as not set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// In constant time for texts of equal length.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn equal_texts_are_equal_and_others_are_not() {
        assert!(Secret::new("a") == Secret::new("a"));
        assert!(Secret::new("a") != Secret::new("b"));
        assert!(Secret::new("a") != Secret::new("ab"));
    }

    #[test]
    fn exposes_what_it_was_given() {
        assert_eq!(Secret::new("s3cret").expose(), "s3cret");
        assert!(Secret::default().is_empty());
    }
}
