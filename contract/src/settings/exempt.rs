//! Which requests a room may exempt.

use super::findings::Findings;
use super::prefixes::path_problem;
use crate::exempt::Exemption;
use crate::limits::EXEMPT_MAX;

/// Checks what needs no pass.
pub(super) fn check(exempt: &[String], findings: &mut Findings) {
    if exempt.len() > EXEMPT_MAX {
        let count = exempt.len();
        findings.add(
            "exempt",
            format!("{count} exemptions are too many: at most {EXEMPT_MAX}"),
        );
        return;
    }
    for (index, text) in exempt.iter().enumerate() {
        let path = text.split_once(' ').map_or(text.as_str(), |(_, path)| path);
        let problem = match text.parse::<Exemption>() {
            Err(error) => Some(error.to_string()),
            Ok(exemption) => exemption
                .prefix()
                .and_then(|_| path_problem(path))
                .map(str::to_owned),
        };
        if let Some(problem) = problem {
            findings.add(format!("exempt[{index}]"), format!("`{text}` {problem}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain_prefixes_as_those_that_are_protected() {
        for (text, is_good) in [
            ("/shop/assets", true),
            ("HEAD", true),
            ("POST /shop/hook", true),
            ("TRACE", false),
            ("POST  /shop", false),
            ("/a b", false),
            ("/a/../b", false),
            ("/a%2fb", false),
            ("GET /_line/v1", false),
            ("GET /a*", false),
        ] {
            let mut findings = Findings::default();
            check(&[text.to_owned()], &mut findings);
            assert_eq!(findings.0.is_empty(), is_good, "{text}: {:?}", findings.0);
        }
        let mut findings = Findings::default();
        check(&vec!["HEAD".to_owned(); EXEMPT_MAX + 1], &mut findings);
        assert_eq!(findings.0[0].field, "exempt");
    }
}
