//! A line on a Redis that is reached by TLS.

use std::path::Path;

use line::store::RoomStore;
use line::store::redis::{RedisAddress, RedisStore, Roots};
use test_support::certificates::Certificates;
use test_support::redis_server::RedisServer;

async fn pinged(url: &str, authority: Option<&Path>) -> Result<(), String> {
    let roots = authority.map(|file| Roots::with(&std::fs::read(file).unwrap()).unwrap());
    let address = RedisAddress::read(url, roots.as_ref()).unwrap();
    let store = RedisStore::new(&address, "").unwrap();
    store.ping().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_a_certificate_of_a_believed_authority_is_accepted() {
    let (certificates, others) = (Certificates::make(), Certificates::make());
    let (_server, url) = RedisServer::start_with_tls(&certificates).await;
    pinged(&url, Some(&certificates.authority())).await.unwrap();
    for authority in [None, Some(others.authority())] {
        let refused = pinged(&url, authority.as_deref()).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }
    // The certificate is that of the address, which is the same machine.
    let other_name = url.replace("127.0.0.1", "localhost");
    let refused = pinged(&other_name, Some(&certificates.authority())).await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
}
