//! Names of hosts, as requests and settings write them: one form for each name.

#![no_main]

use contract::host::{AnsweredHost, international, name_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let name = name_of(text);
    if let Ok(host) = text.parse::<AnsweredHost>() {
        let again: AnsweredHost = host.to_string().parse().expect("a host can be written");
        assert_eq!(again, host);
        if let AnsweredHost::Named(named) = &host {
            assert_eq!(
                *named, name,
                "what is answered for is what requests are compared by"
            );
            assert_eq!(name_of(named), *named);
            // With a port, with a final dot and in capitals it is the same host.
            assert_eq!(name_of(&format!("{named}:8443")), *named);
            assert_eq!(name_of(&named.to_ascii_uppercase()), *named);
        }
    }
    if let Some(ascii) = international(text) {
        assert!(ascii.is_ascii(), "{ascii:?}");
        assert_eq!(international(&ascii).as_ref(), Some(&ascii), "{text:?}");
    }
});
