//! The addresses of one service, parsed once from a room's settings.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::upstream::{EMBEDDED, Upstream, UpstreamError};

/// Most addresses of one service.
pub const ADDRESSES_MAX: usize = 32;

/// What a room's settings say of its upstream: `embedded`, the URL of a service, or the URLs of all
/// servers of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSetting(Vec<String>);

/// The addresses of a service, one at least. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstreams(Arc<[Upstream]>);

/// Why the addresses are not those of one service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamsError {
    /// One of several is not an address.
    #[error("{1}")]
    Address(usize, UpstreamError),
    /// There is none.
    #[error("the list is empty: name an address, or write `embedded`")]
    Empty,
    /// There are too many.
    #[error("{0} addresses are too many: at most {ADDRESSES_MAX}")]
    TooMany(usize),
    /// One is there twice.
    #[error("`{1}` is there twice")]
    Twice(usize, String),
    /// They are not alike.
    #[error(
        "`{1}` has another scheme or path than the first address: all are servers of one service"
    )]
    Different(usize, String),
}

impl UpstreamSetting {
    /// The booking core in this process.
    pub fn embedded() -> Self {
        Self::from(EMBEDDED)
    }

    /// Whether it is the booking core in this process.
    pub fn is_embedded(&self) -> bool {
        self.0.len() == 1 && self.0[0] == EMBEDDED
    }

    /// The texts, one for each address.
    pub fn texts(&self) -> &[String] {
        &self.0
    }

    /// The addresses, of a service that is not `embedded`.
    pub fn addresses(&self) -> Result<Upstreams, UpstreamsError> {
        if self.0.len() > ADDRESSES_MAX {
            return Err(UpstreamsError::TooMany(self.0.len()));
        }
        let mut found: Vec<Upstream> = Vec::with_capacity(self.0.len());
        for (at, text) in self.0.iter().enumerate() {
            let address: Upstream = text
                .parse()
                .map_err(|error| UpstreamsError::Address(at, error))?;
            let is_known = |known: &Upstream| known.endpoint() == address.endpoint();
            if found.iter().any(is_known) {
                return Err(UpstreamsError::Twice(at, text.clone()));
            }
            if let Some(first) = found.first()
                && (first.is_encrypted(), first.prefix())
                    != (address.is_encrypted(), address.prefix())
            {
                return Err(UpstreamsError::Different(at, text.clone()));
            }
            found.push(address);
        }
        if found.is_empty() {
            return Err(UpstreamsError::Empty);
        }
        Ok(Upstreams(found.into()))
    }
}

impl UpstreamsError {
    /// Which of the addresses is at fault; `None` for all of them.
    pub fn at(&self) -> Option<usize> {
        match self {
            Self::Address(at, _) | Self::Twice(at, _) | Self::Different(at, _) => Some(*at),
            Self::Empty | Self::TooMany(_) => None,
        }
    }
}

impl Upstreams {
    /// The addresses.
    pub fn all(&self) -> &[Upstream] {
        &self.0
    }

    /// The path under which all of the service is at every address.
    pub fn prefix(&self) -> &str {
        self.0.first().map_or("", Upstream::prefix)
    }
}

impl From<Upstream> for Upstreams {
    fn from(upstream: Upstream) -> Self {
        Self([upstream].into())
    }
}

impl From<&str> for UpstreamSetting {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

impl From<Vec<String>> for UpstreamSetting {
    fn from(texts: Vec<String>) -> Self {
        Self(texts)
    }
}

impl PartialEq<str> for UpstreamSetting {
    fn eq(&self, text: &str) -> bool {
        self.0.len() == 1 && self.0[0] == text
    }
}

impl PartialEq<&str> for UpstreamSetting {
    fn eq(&self, text: &&str) -> bool {
        self == *text
    }
}

impl fmt::Display for UpstreamSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Serialize for UpstreamSetting {
    /// One address is a string.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for UpstreamSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = UpstreamSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`embedded`, a URL, or a list of URLs")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    if texts.len() >= ADDRESSES_MAX {
                        let most = format!("at most {ADDRESSES_MAX} addresses");
                        return Err(A::Error::custom(most));
                    }
                    texts.push(text);
                }
                Ok(texts.into())
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_a_text_and_several_are_a_list() {
        for json in [
            r#""embedded""#,
            r#""http://a:1""#,
            r#"["http://a:1","http://b:1"]"#,
        ] {
            let setting: UpstreamSetting = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&setting).unwrap(), json);
            assert_eq!(setting.is_embedded(), json.contains("embedded"));
        }
        let listed: UpstreamSetting = serde_json::from_str(r#"["http://a:1"]"#).unwrap();
        assert_eq!(serde_json::to_string(&listed).unwrap(), r#""http://a:1""#);
        for wrong in ["7", "null", "[7]", "{}"] {
            let error = serde_json::from_str::<UpstreamSetting>(wrong).unwrap_err();
            assert!(error.to_string().contains("invalid type"), "{error}");
        }
    }

    #[test]
    fn the_addresses_of_a_list_are_servers_of_one_service() {
        let read = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
            UpstreamSetting::from(texts).addresses()
        };
        let good = read(&["http://a:1/base", "http://b:2/base/"]).unwrap();
        assert_eq!((good.all().len(), good.prefix()), (2, "/base"));
        assert_eq!(read(&[]).unwrap_err(), UpstreamsError::Empty);
        for (texts, at) in [
            (["http://a", "ftp://b"], 1),
            (["http://a", "https://b"], 1),
            (["http://a", "http://b/base"], 1),
            (["http://a", "http://A:80/"], 1),
            (["embedded", "http://b"], 0),
        ] {
            assert_eq!(read(&texts).unwrap_err().at(), Some(at), "{texts:?}");
        }
        let many: Vec<_> = (0..33).map(|n| format!("http://a:{}", n + 1)).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(read(&many).unwrap_err(), UpstreamsError::TooMany(33));
    }
}
