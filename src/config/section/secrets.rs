//! Secrets of a section: read, and shown as [`REDACTED`].

use std::path::Path;

use super::Section;
use crate::config::report::Fault;
use crate::config::secret::Secret;
use crate::config::tree::Value;

/// What is shown in place of a secret.
pub(in crate::config) const REDACTED: &str = "[redacted]";

impl Section<'_, '_> {
    /// A secret text; an empty one is absent.
    pub(in crate::config) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let node = self.take(key)?;
        let secret = match &node.value {
            Value::Text(text) | Value::List { text: Some(text), .. } => Secret::new(text.as_str()),
            Value::Null | Value::Failed => return None,
            // The content of a list or section may be secret as well, so it is not told.
            _ => {
                let fault =
                    Fault::Type { expected: "a text".to_owned(), found: "a list or section".to_owned() };
                self.error(key, fault);
                return None;
            }
        };
        if secret.is_empty() {
            return None;
        }
        self.show(key, REDACTED);
        Some(secret)
    }

    /// A secret that may stand in a file: the direct key wins, the file's content is trimmed.
    pub(in crate::config) fn secret_or_file(
        &mut self,
        key: &'static str,
        path_key: &'static str,
    ) -> Option<Secret> {
        let direct = self.secret(key);
        let path = self.path(path_key);
        match (direct, path) {
            (Some(secret), _) => Some(secret),
            (None, Some(path)) => self.secret_file(path_key, &path),
            (None, None) => None,
        }
    }

    fn secret_file(&mut self, path_key: &'static str, path: &Path) -> Option<Secret> {
        match (self.context.read_file)(path) {
            Ok(text) => Some(Secret::new(text.trim())).filter(|secret| !secret.is_empty()),
            Err(error) => {
                let file = path.display().to_string();
                self.error(path_key, Fault::Unreadable { file, reason: error.to_string() });
                None
            }
        }
    }
}
