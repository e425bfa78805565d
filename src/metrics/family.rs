//! A metric as it is exported: a name, a meaning, and values by label.

use std::borrow::Cow;

use super::Histogram;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the server starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Times, by how long they are.
    Histogram,
}

/// A metric with all its values.
#[derive(Clone, Debug)]
pub struct Family {
    /// As it is exported; a counter's ends in `_total`.
    pub name: Cow<'static, str>,
    /// For people, in one line.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Names and values; never an id of an agent.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// Of the kind that its family is.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number of something.
    Count(u64),
    /// A measure of something.
    Real(f64),
    /// Times.
    Times(Box<Histogram>),
}

impl Family {
    fn new(kind: Kind, name: impl Into<Cow<'static, str>>, help: &'static str) -> Self {
        Family { name: name.into(), help, kind, samples: Vec::new() }
    }

    /// A counter without a value; its name ends in `_total`.
    pub fn counter(name: impl Into<Cow<'static, str>>, help: &'static str) -> Self {
        Self::new(Kind::Counter, name, help)
    }

    /// A gauge without a value.
    pub fn gauge(name: impl Into<Cow<'static, str>>, help: &'static str) -> Self {
        Self::new(Kind::Gauge, name, help)
    }

    /// A histogram without a value; its name ends in `_seconds`.
    pub fn histogram(name: impl Into<Cow<'static, str>>, help: &'static str) -> Self {
        Self::new(Kind::Histogram, name, help)
    }

    /// With its only value.
    #[must_use]
    pub fn only(self, value: impl Into<Value>) -> Self {
        self.with([], value)
    }

    /// With a value under these labels.
    #[must_use]
    pub fn with<const COUNT: usize>(
        mut self,
        labels: [(&'static str, Cow<'static, str>); COUNT],
        value: impl Into<Value>,
    ) -> Self {
        self.samples.push(Sample { labels: labels.into(), value: value.into() });
        self
    }

    /// With a value for each, under one label.
    #[must_use]
    pub fn each<L: Into<Cow<'static, str>>, V: Into<Value>>(
        self,
        label: &'static str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Self {
        values.into_iter().fold(self, |family, (name, value)| family.with([(label, name.into())], value))
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Value::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Value::Count(count.into())
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Value::Count(count as u64)
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Value::Count(holds.into())
    }
}

impl From<f64> for Value {
    fn from(measure: f64) -> Self {
        Value::Real(measure)
    }
}

impl From<&Histogram> for Value {
    fn from(times: &Histogram) -> Self {
        Value::Times(Box::new(times.clone()))
    }
}
