//! What a room needs to send fans to sites with Queue-it's connectors.

use super::findings::Findings;
use crate::allowed_target::AllowedTarget;
use crate::limits::{
    KNOWN_USER_SECRET_CHARS_MAX, KNOWN_USER_SECRET_CHARS_MIN, KNOWN_USER_TARGETS_MAX,
};
use crate::room::RoomSettings;

/// Checks the secret and the sites.
pub(super) fn check(settings: &RoomSettings, findings: &mut Findings) {
    let targets = &settings.known_user_targets;
    match &settings.known_user_secret {
        Some(secret) => {
            let is_text = secret.bytes().all(|byte| byte.is_ascii_graphic());
            let allowed = KNOWN_USER_SECRET_CHARS_MIN..=KNOWN_USER_SECRET_CHARS_MAX;
            if !is_text || !allowed.contains(&secret.len()) {
                findings.add(
                    "knownUserSecret",
                    format!(
                        "must be {KNOWN_USER_SECRET_CHARS_MIN} to {KNOWN_USER_SECRET_CHARS_MAX} visible \
                         characters of ASCII"
                    ),
                );
            }
            if targets.is_empty() {
                findings.add(
                    "knownUserTargets",
                    "name the sites that fans may be sent to".to_owned(),
                );
            }
        }
        None if !targets.is_empty() => findings.add(
            "knownUserSecret",
            "sites to send fans to need the secret that their connectors have".to_owned(),
        ),
        None => {}
    }
    if targets.len() > KNOWN_USER_TARGETS_MAX {
        let count = targets.len();
        findings.add(
            "knownUserTargets",
            format!("{count} sites are too many: at most {KNOWN_USER_TARGETS_MAX}"),
        );
        return;
    }
    for (index, target) in targets.iter().enumerate() {
        if AllowedTarget::parse(target).is_none() {
            findings.add(
                format!("knownUserTargets[{index}]"),
                format!("`{target}` is no site or part of one, such as https://shop.example.org/checkout"),
            );
        }
    }
}
