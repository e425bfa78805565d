//! The query of a request's target: `application/x-www-form-urlencoded` pairs.

use super::error::Refusal;
use crate::http::{RequestHead, percent_decode};

/// Entries of a list's page where the client does not say.
const PER_PAGE: usize = 20;
/// Entries of a list's page at most.
pub(super) const PER_PAGE_MAX: usize = 1_000;

/// The pairs of a query. Each name at most once.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Counted from 1.
    pub(super) number: usize,
    /// Entries.
    pub(super) size: usize,
}

impl Query {
    /// Reads the query, which may have these names and no other: a misspelled filter must not widen a list.
    pub(super) fn read(head: &RequestHead, known: &[&str]) -> Result<Self, Refusal> {
        Self::parse(head.query().unwrap_or_default(), known)
    }

    fn parse(query: &str, known: &[&str]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(&value.replace('+', " ")).map(|value| value.into_owned());
            let bad = |what: &str| Refusal::BadRequest(format!("query parameter {name}: {what}"));
            let value = value.ok_or_else(|| bad("not percent-encoded UTF-8"))?;
            if !known.contains(&name) {
                return Err(bad(&format!("not known here, only {}", known.join(", "))));
            }
            if pairs.iter().any(|(earlier, _)| earlier == name) {
                return Err(bad("given twice"));
            }
            pairs.push((name.to_owned(), value));
        }
        Ok(Query { pairs })
    }

    /// The value of a parameter, if it is there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number of at least `least`.
    pub(super) fn number<T>(&self, name: &str, least: T) -> Result<Option<T>, Refusal>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(Refusal::BadRequest(format!(
                "query parameter {name}: expected a whole number of at least {least}"
            ))),
        }
    }

    /// `true` or `false`; false where it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::BadRequest(format!("query parameter {name}: expected true or false"))),
        }
    }

    /// `page` and `perPage`.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let number = self.number("page", 1)?.unwrap_or(1);
        let size = self.number("perPage", 1)?.unwrap_or(PER_PAGE);
        if size > PER_PAGE_MAX {
            return Err(Refusal::BadRequest(format!("query parameter perPage: at most {PER_PAGE_MAX}")));
        }
        Ok(Page { number, size })
    }
}

impl Page {
    /// Entries that stand before this page.
    pub(super) fn skipped(self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["page", "perPage", "kuery"];

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("kuery=a%3Ab+c&page=2", &KNOWN).unwrap();
        assert_eq!((query.text("kuery"), query.text("page")), (Some("a:b c"), Some("2")));
        assert_eq!(query.page().unwrap(), Page { number: 2, size: 20 });
        assert_eq!(query.page().unwrap().skipped(), 20);
    }

    #[test]
    fn a_misspelled_or_repeated_parameter_is_refused() {
        for query in ["kury=x", "page=1&page=2", "kuery=%zz"] {
            assert!(matches!(Query::parse(query, &KNOWN), Err(Refusal::BadRequest(_))), "{query}");
        }
    }

    #[test]
    fn a_page_has_bounds() {
        for query in ["page=0", "perPage=0", "perPage=1001", "page=-1", "page=x"] {
            assert!(Query::parse(query, &KNOWN).unwrap().page().is_err(), "{query}");
        }
    }
}
