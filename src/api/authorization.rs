//! `Authorization: ApiKey BASE64` (http-api.md, "Headers").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ApiError;
use crate::http::RequestHead;
use crate::model::ApiKey;

/// The API key that a request presents.
pub fn api_key(head: &RequestHead) -> Result<ApiKey, ApiError> {
    let mut values = head.header("authorization");
    let value = values.next().ok_or(ApiError::NoAuthHeader)?;
    if values.next().is_some() {
        return Err(ApiError::MalformedHeader);
    }
    let value = std::str::from_utf8(value).map_err(|_| ApiError::MalformedHeader)?;
    parse(value.strip_prefix("ApiKey ").ok_or(ApiError::MalformedHeader)?)
}

/// Reads an enrollment token or the value of the header: standard base64, padded, of `id:key`.
pub fn parse(token: &str) -> Result<ApiKey, ApiError> {
    let bytes = STANDARD.decode(token.trim()).map_err(|_| ApiError::InvalidToken)?;
    let text = String::from_utf8(bytes).map_err(|_| ApiError::InvalidToken)?;
    match text.split_once(':') {
        Some((id, secret)) if !secret.contains(':') => {
            Ok(ApiKey { id: id.to_owned(), secret: secret.to_owned() })
        }
        _ => Err(ApiError::MalformedToken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_padded_base64_of_two_parts() {
        let key = parse(&STANDARD.encode("id:key")).unwrap();
        assert_eq!((key.id.as_str(), key.secret.as_str()), ("id", "key"));
        assert_eq!(parse("!!").unwrap_err(), ApiError::InvalidToken);
        assert_eq!(parse(STANDARD.encode("a:bc").trim_end_matches('=')).unwrap_err(), ApiError::InvalidToken);
        assert_eq!(parse(&STANDARD.encode([0xff, b':'])).unwrap_err(), ApiError::InvalidToken);
        assert_eq!(parse(&STANDARD.encode("a")).unwrap_err(), ApiError::MalformedToken);
        assert_eq!(parse(&STANDARD.encode("a:b:c")).unwrap_err(), ApiError::MalformedToken);
    }
}
