//! The agent's version, from its User-Agent (http-api.md, "Headers").

use super::ApiError;

/// The oldest agents accepted.
const OLDEST: (u64, u64) = (7, 13);

/// A version as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major and minor; any patch goes with them.
    pub major_minor: (u64, u64),
}

impl Version {
    /// Reads `MAJOR.MINOR...`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        let major = parts.next()??;
        let minor = parts.next().unwrap_or(Some(0))?;
        Some(Version { major_minor: (major, minor) })
    }
}

/// The version that an agent's User-Agent names, as its document holds it: without `v` and suffix, `+build` kept.
pub fn agent_version(user_agent: Option<&str>, newest: Version) -> Result<String, ApiError> {
    let text = user_agent.ok_or(ApiError::InvalidUserAgent)?;
    let lower = text.trim().to_ascii_lowercase();
    let rest = lower.strip_prefix("elastic agent ").ok_or(ApiError::InvalidUserAgent)?;
    let text = rest.split('-').next().unwrap_or_default().trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let (numbers, build) =
        text.split_once('+').map_or((text, None), |(numbers, build)| (numbers, Some(build)));
    if build.is_some_and(|build| !is_build(build)) || numbers.is_empty() {
        return Err(ApiError::InvalidUserAgent);
    }
    let version = check_numbers(numbers)?;
    if version.major_minor < OLDEST || version > newest {
        return Err(ApiError::UnsupportedVersion);
    }
    Ok(text.to_owned())
}

fn check_numbers(numbers: &str) -> Result<Version, ApiError> {
    let glued = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let mut last_glued = false;
    for part in numbers.split('.') {
        if part.is_empty() || !glued(part) {
            return Err(ApiError::InvalidUserAgent);
        }
        last_glued |= !part.chars().all(|c| c.is_ascii_digit());
    }
    if last_glued {
        return Err(ApiError::UnsupportedVersion);
    }
    // a number too large for us is newer than anything
    Version::parse(numbers).ok_or(ApiError::UnsupportedVersion)
}

fn is_build(build: &str) -> bool {
    !build.is_empty() && build.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user_agent: &str) -> Result<String, ApiError> {
        agent_version(Some(user_agent), Version { major_minor: (9, 6) })
    }

    #[test]
    fn agents_up_to_our_minor_are_accepted_with_any_patch() {
        assert_eq!(check("Elastic Agent v9.6.7").unwrap(), "9.6.7");
        assert_eq!(check("eLaStIc AGeNt v8.0.0-anything").unwrap(), "8.0.0");
        assert_eq!(check("Elastic Agent v9.6.0-SNAPSHOT").unwrap(), "9.6.0");
        assert_eq!(check("elastic agent v9.6.0+build1").unwrap(), "9.6.0+build1");
        assert_eq!(check("elastic agent 7.13").unwrap(), "7.13");
    }

    #[test]
    fn a_version_out_of_range_is_unsupported() {
        for text in
            ["elastic agent 9.7.0", "elastic agent 7.12.9", "elastic agent 9.6.0beta1", "elastic agent 10"]
        {
            assert_eq!(check(text).unwrap_err(), ApiError::UnsupportedVersion, "{text}");
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        for text in [
            "elastic-agent 9.6.0",
            "Elastic Agent",
            "elastic agent ",
            "curl/8",
            "elastic agent 9.6.0 (x)",
            "",
        ] {
            assert_eq!(check(text).unwrap_err(), ApiError::InvalidUserAgent, "{text}");
        }
        assert_eq!(
            agent_version(None, Version { major_minor: (9, 6) }).unwrap_err(),
            ApiError::InvalidUserAgent
        );
    }

    #[test]
    fn numbers_beyond_any_version_do_not_overflow() {
        assert_eq!(check("elastic agent 99999999999999999999.1").unwrap_err(), ApiError::UnsupportedVersion);
    }
}
