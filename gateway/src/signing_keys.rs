//! The signing keys of a gateway, and which of them it is to sign with.

use contract::pass::{KeyError, PassKey};

/// The keys that this gateway verifies, and the one that it is to sign with.
pub struct SigningKeys {
    keys: Vec<PassKey>,
    /// Index of the one that signs.
    signer: usize,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoSigner {
    /// There is no key at all.
    #[error("there is no signing key")]
    NoKeys,
    /// No key has the id that was named.
    #[error("no signing key has the id `{named}`; there are {known}")]
    Unknown {
        /// The id that was named.
        named: String,
        /// The ids that there are.
        known: String,
    },
}

impl SigningKeys {
    /// Keys in the order of the settings. The one with the id `signer` signs, or the first.
    pub fn new(keys: Vec<PassKey>, signer: Option<&str>) -> Result<Self, NoSigner> {
        if keys.is_empty() {
            return Err(NoSigner::NoKeys);
        }
        let named = |named: &str| {
            let index = keys.iter().position(|key| key.kid() == named);
            index.ok_or_else(|| NoSigner::Unknown {
                named: named.to_owned(),
                known: ids_text(&keys),
            })
        };
        let signer = signer.map_or(Ok(0), named)?;
        Ok(Self { keys, signer })
    }

    /// All of them, in the order of the settings.
    pub fn all(&self) -> &[PassKey] {
        &self.keys
    }

    /// The one that is to sign.
    pub fn signer(&self) -> &PassKey {
        &self.keys[self.signer]
    }

    /// The last: what versions before derived place ids and the first ticket key from.
    pub fn origin(&self) -> &PassKey {
        &self.keys[self.keys.len() - 1]
    }

    /// Whether one of them has this id.
    pub fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == id)
    }

    /// Their ids.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.kid().to_owned()).collect()
    }

    /// Their ids, for a sentence.
    pub fn ids_text(&self) -> String {
        ids_text(&self.keys)
    }

    /// The same keys once more.
    pub fn copies(&self) -> Result<Vec<PassKey>, KeyError> {
        let copies = self.keys.iter();
        copies
            .map(|key| PassKey::from_seed(*key.secret()))
            .collect()
    }
}

fn ids_text(keys: &[PassKey]) -> String {
    let ids: Vec<&str> = keys.iter().map(PassKey::kid).collect();
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seeds: &[u8]) -> Vec<PassKey> {
        let key = |seed: &u8| PassKey::from_seed([*seed; 32]).unwrap();
        seeds.iter().map(key).collect()
    }

    #[test]
    fn the_first_signs_unless_another_is_named() {
        let second = keys(&[1, 2])[1].kid().to_owned();
        let unnamed = SigningKeys::new(keys(&[1, 2]), None).unwrap();
        assert_eq!(unnamed.signer().kid(), keys(&[1])[0].kid());
        let named = SigningKeys::new(keys(&[1, 2]), Some(&second)).unwrap();
        assert_eq!(named.signer().kid(), second);
        assert_eq!(named.origin().kid(), second);
        assert_eq!(named.all()[0].kid(), unnamed.signer().kid());
    }

    #[test]
    fn a_key_that_is_not_there_is_told_with_those_that_are() {
        let refused = SigningKeys::new(keys(&[1]), Some("feed")).err().unwrap();
        let told = refused.to_string();
        assert!(
            told.contains("feed") && told.contains(keys(&[1])[0].kid()),
            "{told}"
        );
        assert!(SigningKeys::new(Vec::new(), None).is_err());
    }
}
