//! The store: a directory or a bucket.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions, PutPayload, RetryConfig,
};
use uuid::Uuid;

use super::requests::Requests;
use super::settings::{S3Config, TicketStoreConfig};
use crate::payments::http_client::{ClientError, told};

/// Repeats of a request by the library; the worker repeats after that.
const RETRIES_MAX: usize = 1;
/// How long the library repeats.
const RETRY_FOR: Duration = Duration::from_secs(20);
/// The file with the id of a directory.
const ID_FILE: &str = "store-id";

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreSetUpError {
    /// The directory cannot be written.
    #[error("{0} cannot be used")]
    Directory(PathBuf, #[source] io::Error),
    /// The client of S3 could not be set up.
    #[error("the client of S3 could not be set up")]
    Client(#[source] ClientError),
    /// The settings do not fit together.
    #[error("the settings do not fit together: {0}")]
    Settings(String),
}

/// What a store did not do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ObjectError(String);

/// A store for PDFs of tickets.
#[derive(Clone, Debug)]
pub(crate) struct TicketStore {
    /// Rows of the database name it. Directories have an id, because each gateway has its own.
    name: String,
    prefix: Path,
    objects: Arc<dyn ObjectStore>,
}

impl TicketStore {
    /// The store of these settings, `None` when there is none. `new_id` is for a directory that has
    /// none.
    pub(crate) fn open(
        config: &TicketStoreConfig,
        new_id: Uuid,
    ) -> Result<Option<Self>, StoreSetUpError> {
        match config {
            TicketStoreConfig::Off => Ok(None),
            TicketStoreConfig::Directory(directory) => {
                let named = |error| StoreSetUpError::Directory(directory.clone(), error);
                let id = directory_id(directory, new_id).map_err(named)?;
                let objects = LocalFileSystem::new_with_prefix(directory)
                    .map_err(|error| named(io::Error::other(error)))?
                    .with_automatic_cleanup(true);
                Ok(Some(Self {
                    name: format!("file:{id}"),
                    prefix: Path::default(),
                    objects: Arc::new(objects),
                }))
            }
            TicketStoreConfig::S3(bucket) => Self::bucket(bucket).map(Some),
        }
    }

    fn bucket(config: &S3Config) -> Result<Self, StoreSetUpError> {
        let settings = |error: object_store::Error| StoreSetUpError::Settings(error.to_string());
        let requests = Requests::new(config.more_roots.as_deref());
        let requests = requests.map_err(StoreSetUpError::Client)?;
        let objects = config
            .builder()
            .with_http_connector(requests)
            // Not every service that speaks S3 removes several objects at once.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                max_retries: RETRIES_MAX,
                retry_timeout: RETRY_FOR,
                ..RetryConfig::default()
            })
            .build()
            .map_err(settings)?;
        let prefix = Path::parse(&config.prefix)
            .map_err(|error| StoreSetUpError::Settings(error.to_string()))?;
        let endpoint = config.endpoint.as_deref().unwrap_or("amazon");
        Ok(Self {
            name: format!("s3://{}/{} at {endpoint}", config.bucket, config.prefix),
            prefix,
            objects: Arc::new(objects),
        })
    }

    /// How rows of the database name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn path(&self, object: &str) -> Path {
        let parts = self.prefix.parts().map(|part| part.as_ref().to_owned());
        parts.chain(object.split('/').map(str::to_owned)).collect()
    }

    /// Writes a PDF, all of it or nothing.
    pub(super) async fn put(&self, object: &str, pdf: Bytes) -> Result<(), ObjectError> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, "application/pdf".into());
        // Should the bucket ever be readable for others, no cache is to keep tickets.
        attributes.insert(Attribute::CacheControl, "private, no-store".into());
        let options = PutOptions {
            // A directory has no attributes of files.
            attributes: if self.name.starts_with("file:") {
                Attributes::new()
            } else {
                attributes
            },
            ..PutOptions::default()
        };
        let (path, pdf) = (self.path(object), PutPayload::from_bytes(pdf));
        let put = self.objects.put_opts(&path, pdf, options).await;
        put.map(drop).map_err(|error| failed(&error))
    }

    /// Reads a PDF; `None` when it is gone.
    pub(super) async fn get(&self, object: &str) -> Result<Option<Bytes>, ObjectError> {
        let found = async { self.objects.get(&self.path(object)).await?.bytes().await };
        match found.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Removes a PDF, also one that is gone.
    pub(super) async fn remove(&self, object: &str) -> Result<(), ObjectError> {
        match self.objects.delete(&self.path(object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &object_store::Error) -> ObjectError {
    ObjectError(told(error))
}

/// The id of a directory, which is made if it is not there, readable for its owner only.
fn directory_id(directory: &FilePath, new_id: Uuid) -> io::Result<Uuid> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory)?;
    let path = directory.join(ID_FILE);
    let fresh = directory.join(format!("{ID_FILE}.{new_id}"));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    io::Write::write_all(&mut options.open(&fresh)?, new_id.to_string().as_bytes())?;
    // Of two gateways that start in one directory, one makes the id, and whole.
    let linked = fs::hard_link(&fresh, &path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let text = fs::read_to_string(&path)?;
    Uuid::parse_str(text.trim())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{ID_FILE}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_keeps_its_id_and_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = TicketStoreConfig::Directory(directory.path().join("deep/tickets"));
        let open = |id| {
            TicketStore::open(&config, Uuid::from_u128(id))
                .unwrap()
                .unwrap()
        };
        let store = open(1);
        assert_eq!(store.name(), format!("file:{}", Uuid::from_u128(1)));
        store
            .put("show/b/x.pdf", Bytes::from_static(b"%PDF-1"))
            .await
            .unwrap();
        let again = open(2);
        assert_eq!(again.name(), store.name());
        let found = again.get("show/b/x.pdf").await.unwrap();
        assert_eq!(found.as_deref(), Some(&b"%PDF-1"[..]));
        for _ in 0..2 {
            again.remove("show/b/x.pdf").await.unwrap();
            assert_eq!(again.get("show/b/x.pdf").await.unwrap(), None);
        }
        let left = fs::read_dir(directory.path().join("deep/tickets")).unwrap();
        assert_eq!(left.count(), 1, "only the id is left");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = TicketStoreConfig::Directory(file.path().join("tickets"));
        let error = TicketStore::open(&config, Uuid::nil()).unwrap_err();
        assert!(error.to_string().contains("tickets"), "{error}");
    }
}
