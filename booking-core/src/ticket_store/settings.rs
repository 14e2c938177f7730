//! Which store has the PDFs of tickets. Pure but for `AWS_` variables.

use std::fmt;
use std::path::{Path, PathBuf};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use url::Url;

/// Where PDFs of tickets are kept.
#[derive(Clone, Debug, Default)]
pub enum TicketStoreConfig {
    /// They are not kept, and made whenever they are asked for.
    #[default]
    Off,
    /// In this directory.
    Directory(PathBuf),
    /// In a bucket.
    S3(Box<S3Config>),
}

/// A bucket.
#[derive(Clone)]
pub struct S3Config {
    /// Its name.
    pub bucket: String,
    /// What the names of objects begin with, without slashes around it.
    pub prefix: String,
    /// The address of the service; Amazon's when absent.
    pub endpoint: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Id and secret of an access key; those of the environment or the machine when absent.
    pub access_key: Option<(String, String)>,
    /// Certificates of authorities, as PEM, that are believed beside those of the system.
    pub more_roots: Option<Vec<u8>>,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl TicketStoreConfig {
    /// The store that `text` names: `off`, `file:DIRECTORY` or `s3://BUCKET/PREFIX`; without it a
    /// directory in `data_dir`. `endpoint` is the address of another service than Amazon's.
    pub fn read(
        text: Option<&str>,
        endpoint: Option<&str>,
        data_dir: &Path,
        more_roots: Option<Vec<u8>>,
    ) -> Result<Self, String> {
        let text = text.map_or("file:", str::trim);
        if let Some(rest) = text.strip_prefix("s3://") {
            return Ok(Self::S3(Box::new(S3Config::read(
                rest, endpoint, more_roots,
            )?)));
        }
        if endpoint.is_some() {
            return Err("an endpoint is for s3:// only".to_owned());
        }
        if text == "off" {
            return Ok(Self::Off);
        }
        match text.strip_prefix("file:") {
            Some("") => Ok(Self::Directory(data_dir.join("tickets"))),
            Some(directory) => {
                let directory = directory.strip_prefix("//").unwrap_or(directory);
                Ok(Self::Directory(data_dir.join(directory)))
            }
            None => Err(format!(
                "`{text}` is neither off, file:DIRECTORY nor s3://BUCKET/PREFIX"
            )),
        }
    }

    /// What works and is not wise.
    pub fn warnings(&self) -> Vec<String> {
        let Self::S3(bucket) = self else {
            return Vec::new();
        };
        let mut warnings = Vec::new();
        let has_key = bucket
            .builder()
            .get_config_value(&AmazonS3ConfigKey::AccessKeyId);
        if has_key.is_none() {
            warnings.push(
                "AWS_ACCESS_KEY_ID is not set: the key to the bucket is asked of the machine \
                 (role of an instance, a container or a web identity)"
                    .to_owned(),
            );
        }
        let endpoint = bucket.endpoint.as_deref().unwrap_or_default();
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if endpoint.starts_with("http://") && !local.iter().any(|it| endpoint.starts_with(it)) {
            warnings.push(format!(
                "ROPELINE_TICKET_STORE_ENDPOINT: tickets travel to {endpoint} without TLS"
            ));
        }
        warnings
    }
}

impl S3Config {
    fn read(
        place: &str,
        endpoint: Option<&str>,
        more_roots: Option<Vec<u8>>,
    ) -> Result<Self, String> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let is_of_names =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_of_names) {
            return Err(format!(
                "`{bucket}` is no name of a bucket: 3 to 63 small letters, digits, dots and dashes"
            ));
        }
        let prefix = prefix.trim_matches('/');
        object_store::path::Path::parse(prefix)
            .map_err(|error| format!("`{prefix}` cannot begin the names of objects: {error}"))?;
        if let Some(endpoint) = endpoint {
            let url = Url::parse(endpoint).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if url.is_none_or(|url| url.query().is_some()) {
                return Err(format!(
                    "`{endpoint}` is no endpoint such as https://s3.example.org"
                ));
            }
        }
        let read = Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: endpoint.map(|it| it.trim_end_matches('/').to_owned()),
            region: None,
            access_key: None,
            more_roots,
        };
        let has = |key| read.builder().get_config_value(&key).is_some();
        match (
            has(AmazonS3ConfigKey::AccessKeyId),
            has(AmazonS3ConfigKey::SecretAccessKey),
        ) {
            (true, false) => {
                Err("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not".to_owned())
            }
            (false, true) => {
                Err("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not".to_owned())
            }
            _ => Ok(read),
        }
    }

    /// The library's settings: those of the environment, and ours over them.
    pub(super) fn builder(&self) -> AmazonS3Builder {
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&self.bucket);
        if let Some(endpoint) = &self.endpoint {
            builder = builder
                .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint)
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some((id, secret)) = &self.access_key {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret);
        }
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: Option<&str>, endpoint: Option<&str>) -> Result<TicketStoreConfig, String> {
        TicketStoreConfig::read(text, endpoint, Path::new("/data"), None)
    }

    fn directory(text: Option<&str>) -> PathBuf {
        match read(text, None) {
            Ok(TicketStoreConfig::Directory(directory)) => directory,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn directories_are_named_or_in_the_data_directory() {
        assert_eq!(directory(None), Path::new("/data/tickets"));
        assert_eq!(directory(Some("file:")), Path::new("/data/tickets"));
        assert_eq!(directory(Some("file:/srv/pdf")), Path::new("/srv/pdf"));
        assert_eq!(directory(Some("file:///srv/pdf")), Path::new("/srv/pdf"));
        assert_eq!(directory(Some("file:pdf")), Path::new("/data/pdf"));
        assert!(matches!(
            read(Some("off"), None),
            Ok(TicketStoreConfig::Off)
        ));
    }

    #[test]
    fn buckets_have_a_name_and_perhaps_a_prefix() {
        let Ok(TicketStoreConfig::S3(bucket)) = read(
            Some("s3://my-tickets/shop/one/"),
            Some("http://127.0.0.1:9000/"),
        ) else {
            panic!("it is a bucket");
        };
        assert_eq!(
            (&*bucket.bucket, &*bucket.prefix, bucket.endpoint.as_deref()),
            ("my-tickets", "shop/one", Some("http://127.0.0.1:9000"))
        );
        assert!(!format!("{bucket:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_store_is_explained() {
        for (text, endpoint, why) in [
            ("pdf", None, "neither off, file:DIRECTORY nor s3://"),
            ("S3://bucket", None, "neither off"),
            ("s3://", None, "no name of a bucket"),
            ("s3://My_Bucket!", None, "no name of a bucket"),
            ("s3://bucket/a//b", None, "cannot begin"),
            ("s3://bucket", Some("s3.example.org"), "no endpoint"),
            ("s3://bucket", Some("ftp://s3.example.org"), "no endpoint"),
            ("file:/x", Some("https://s3.example.org"), "for s3:// only"),
        ] {
            let refused = read(Some(text), endpoint).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
