//! Which other sites' pages may read the gateway's own answers.

use super::findings::Findings;
use crate::limits::CORS_ORIGINS_MAX;
use crate::upstream::Upstream;

/// Checks the origins of pages.
pub(super) fn check(origins: &[String], findings: &mut Findings) {
    if origins.len() > CORS_ORIGINS_MAX {
        let count = origins.len();
        findings.add(
            "corsOrigins",
            format!("{count} origins are too many: at most {CORS_ORIGINS_MAX}"),
        );
        return;
    }
    for (index, origin) in origins.iter().enumerate() {
        // As browsers write it: lower case, no path, no slash at the end.
        let is_written_so = |read: Upstream| read.prefix().is_empty() && read.url() == origin;
        if !origin.parse().is_ok_and(is_written_so) {
            findings.add(
                format!("corsOrigins[{index}]"),
                format!(
                    "`{origin}` is no origin as browsers send it, such as https://www.example.com"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        for (origin, is_good) in [
            ("https://www.example.com", true),
            ("http://localhost:3000", true),
            ("https://www.example.com/", false),
            ("https://www.example.com/a", false),
            ("https://WWW.example.com", false),
            ("www.example.com", false),
            ("*", false),
            ("null", false),
        ] {
            let mut findings = Findings::default();
            check(&[origin.to_owned()], &mut findings);
            assert_eq!(findings.0.is_empty(), is_good, "{origin}");
        }
    }
}
