//! Variables of the environment that look like settings and are none: a misspelt one would be
//! ignored without a word.

/// What every variable of Ropeline begins with.
const PREFIX: &str = "ROPELINE_";
/// Variables, and beginnings of them, that other programs and scripts of ours read.
const OF_OTHERS: [&str; 6] = [
    "ROPELINE_ADMIN_URL",
    "ROPELINE_CONFIG",
    "ROPELINE_DEMO_",
    "ROPELINE_SIMULATOR_",
    "ROPELINE_SMOKE_",
    "ROPELINE_TEST_",
];

/// A warning for each of `variables` that is no setting, where `known` are those that are.
pub(super) fn warnings(variables: impl IntoIterator<Item = String>, known: &[&str]) -> Vec<String> {
    let is_unknown = |name: &String| {
        name.starts_with(PREFIX)
            && !known.contains(&name.as_str())
            && !OF_OTHERS.iter().any(|other| name.starts_with(other))
    };
    let mut unknown: Vec<String> = variables.into_iter().filter(is_unknown).collect();
    unknown.sort();
    let told = unknown.iter().map(|name| {
        format!("{name} is set, but there is no such setting; `--help` names those there are")
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    #[test]
    fn a_misspelt_setting_is_told() {
        let settings = Settings::default();
        let known: Vec<&str> = settings.all().into_iter().map(|(name, ..)| name).collect();
        let check = |name: &str, is_told: bool| {
            let told = warnings([name.to_owned()], &known);
            assert_eq!(!told.is_empty(), is_told, "{name}: {told:?}");
            assert!(told.iter().all(|told| told.starts_with(name)), "{told:?}");
        };
        check("ROPELINE_LISTN", true);
        check("ROPELINE_ADMIN_TOKN", true);
        for fine in [
            "ROPELINE_LISTEN",
            "ROPELINE_ADMIN_TOKEN",
            "ROPELINE_ADMIN_URL",
            "ROPELINE_CONFIG",
            "ROPELINE_DEMO_PORT",
            "ROPELINE_SIMULATOR_LISTEN",
            "ROPELINE_TEST_REDIS_URL",
            "LISTN",
        ] {
            check(fine, false);
        }
    }
}
