//! The header fields of each request.

use ureq::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST,
    HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use super::error::ClientError;
use crate::config::{Header, Secret};
use crate::version::{BUILD_HASH, BUILD_TIME, STACK_VERSION};

/// Opens the system indices to us; a configured header of this name has no effect.
const PRODUCT_ORIGIN: HeaderName = HeaderName::from_static("x-elastic-product-origin");
/// What depends on the connection or the body: ours to say.
const OURS: [HeaderName; 10] = [
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What each request carries but for its authorization and its body's type: the configured headers and our own.
pub(super) fn common(configured: &[Header], product: &str) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for header in configured {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.map_err(|_| ClientError::Header { name: header.name.clone() })?;
        if OURS.contains(&name) {
            log::warn!("output.elasticsearch.headers: {name} has no effect");
            continue;
        }
        headers.append(name, secret_value(&header.name, &header.value)?);
    }
    headers.insert(PRODUCT_ORIGIN, HeaderValue::from_static("fleet"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let agent = HeaderValue::try_from(user_agent(product));
    headers.insert(USER_AGENT, agent.map_err(|_| ClientError::Header { name: USER_AGENT.to_string() })?);
    Ok(headers)
}

/// The service token as the value of `Authorization`.
pub(super) fn bearer(token: &Secret) -> Result<HeaderValue, ClientError> {
    let value = Secret::new(format!("Bearer {}", token.expose()));
    match secret_value(AUTHORIZATION.as_str(), &value) {
        // in other fields bytes above ASCII pass, in this one they do not
        Ok(value) if value.to_str().is_ok() => Ok(value),
        _ => Err(ClientError::ServiceToken),
    }
}

/// A value that is not shown.
pub(super) fn secret_value(name: &str, value: &Secret) -> Result<HeaderValue, ClientError> {
    let parsed = HeaderValue::from_bytes(value.expose().as_bytes());
    let mut parsed = parsed.map_err(|_| ClientError::Header { name: name.to_owned() })?;
    parsed.set_sensitive(true);
    Ok(parsed)
}

/// How we call ourselves to our own cluster (elasticsearch.md, "Connection").
pub(super) const OWN: &str = "Elastic-Fleet-Server";
/// And to those of remote outputs.
pub(super) const REMOTE: &str = "Elastic-Remote-Fleet-Server";

/// Names system and processor as Go does.
pub(super) fn user_agent(product: &str) -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{product}/{STACK_VERSION} ({system}; {processor}; {BUILD_HASH}; {BUILD_TIME})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned(), value: Secret::new(value) }
    }

    #[test]
    fn configured_headers_are_sent_but_not_those_that_are_ours() {
        let configured =
            [header("X-One", "1"), header("x-elastic-product-origin", "me"), header("Host", "h")];
        let headers = common(&configured, OWN).unwrap();
        assert_eq!(headers["x-one"], "1");
        assert_eq!(headers.get_all("x-elastic-product-origin").iter().collect::<Vec<_>>(), ["fleet"]);
        assert!(!headers.contains_key(HOST));
    }

    #[test]
    fn the_user_agent_names_version_system_processor_and_build() {
        for product in [OWN, REMOTE] {
            let agent = user_agent(product);
            assert!(
                agent.starts_with(&format!("{product}/9.")) && agent.matches("; ").count() == 3,
                "{agent}"
            );
        }
    }

    #[test]
    fn a_value_that_cannot_be_sent_is_named_not_shown() {
        let error = common(&[header("X-Two", "s3cret\n")], OWN).unwrap_err().to_string();
        assert!(error.contains("X-Two") && !error.contains("s3cret"), "{error}");
        let error = bearer(&Secret::new("s3cret\n")).unwrap_err().to_string();
        assert!(error.contains("service_token") && !error.contains("s3cret"), "{error}");
        assert!(bearer(&Secret::new("\u{fc}")).is_err());
    }

    #[test]
    fn a_secret_is_not_in_the_debug_text_of_its_header() {
        let value = bearer(&Secret::new("s3cret")).unwrap();
        assert_eq!(value, "Bearer s3cret");
        assert!(!format!("{value:?}").contains("s3cret"));
    }
}
