//! Sending requests, by TLS too.
//!
//! Requests are put together and answers read by reqwest. What goes by TLS is sent by hyper:
//! reqwest's own TLS is a feature of every client in the program, and each of them would need the
//! choice of a cryptography library.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::failure::Failure;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may pause; logs are streamed, so the whole has no limit.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

const AGENT: &str = concat!("ropeline/", env!("CARGO_PKG_VERSION"));

/// Sends requests.
pub(crate) struct Transport {
    plain: reqwest::Client,
    /// `None` where no URL begins with `https://`.
    encrypted: Option<Client<HttpsConnector<HttpConnector>, reqwest::Body>>,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    Plain(reqwest::Error),
    Encrypted(hyper_util::client::legacy::Error),
    Late,
}

/// Whose certificates are believed beside those of the system's authorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Believed<'a> {
    /// A file of certificates of authorities.
    pub(crate) ca_file: Option<&'a Path>,
    /// The file of the certificate that a gateway on this machine shows, whatever its name.
    pub(crate) own: Option<&'a Path>,
}

impl Transport {
    /// Sends to `urls`. Proxies of the environment are not used: operators' listeners are on the
    /// machine itself or on a private network.
    pub(crate) fn new(urls: &[&Url], believed: Believed<'_>) -> Result<Self, Failure> {
        let plain = reqwest::Client::builder()
            .user_agent(AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Failure::failed(format!("No HTTP client: {error}")))?;
        let is_encrypted = urls.iter().any(|url| url.scheme() == "https");
        Ok(Self {
            plain,
            encrypted: is_encrypted.then(|| encrypted(believed)).transpose()?,
        })
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.plain.request(method, url)
    }

    /// Sends a request, and reads the head of the answer.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, SendError> {
        let request = request.build().map_err(SendError::Plain)?;
        let client = self.encrypted.as_ref();
        let Some(client) = client.filter(|_| request.url().scheme() == "https") else {
            return self.plain.execute(request).await.map_err(SendError::Plain);
        };
        let mut request =
            http::Request::<reqwest::Body>::try_from(request).map_err(SendError::Plain)?;
        let agent = http::HeaderValue::from_static(AGENT);
        request
            .headers_mut()
            .insert(http::header::USER_AGENT, agent);
        let answer = tokio::time::timeout(READ_TIMEOUT, client.request(request)).await;
        let answer = answer.map_err(|_| SendError::Late)?;
        let answer = answer.map_err(SendError::Encrypted)?;
        Ok(answer.map(reqwest::Body::wrap).into())
    }

    /// The next part of an answer's body; an error says why there is none.
    pub(crate) async fn chunk(answer: &mut Response) -> Result<Option<bytes::Bytes>, String> {
        match tokio::time::timeout(READ_TIMEOUT, answer.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| error.to_string()),
            Err(_) => Err("nothing came for too long".to_owned()),
        }
    }
}

impl SendError {
    /// Whether the request could not even be put together.
    pub(crate) fn is_builder(&self) -> bool {
        matches!(self, Self::Plain(error) if error.is_builder())
    }

    /// What is at the bottom of it.
    pub(crate) fn why(&self) -> String {
        let mut cause: &dyn std::error::Error = match self {
            Self::Plain(error) if !error.is_timeout() => error,
            Self::Encrypted(error) => error,
            _ => return "it does not answer in time".to_owned(),
        };
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    }

    /// Whether the certificate of the other side is not believed.
    pub(crate) fn is_of_certificate(&self) -> bool {
        matches!(self, Self::Encrypted(error) if is_of_certificate(error))
    }
}

fn is_of_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<Error>() {
        return matches!(error, Error::InvalidCertificate(_));
    }
    // Its source is that of what it holds.
    let held = error.downcast_ref::<std::io::Error>();
    match held.and_then(std::io::Error::get_ref) {
        Some(held) => is_of_certificate(held),
        None => error.source().is_some_and(is_of_certificate),
    }
}

fn encrypted(
    believed: Believed<'_>,
) -> Result<Client<HttpsConnector<HttpConnector>, reqwest::Body>, Failure> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(believed)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector))
}

fn tls(believed: Believed<'_>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in believed
        .ca_file
        .map(certificates)
        .transpose()?
        .into_iter()
        .flatten()
    {
        let unreadable = |error| Failure::usage("An authority cannot be read").detail(error);
        roots
            .add(certificate)
            .map_err(|error: Error| unreadable(error.to_string()))?;
    }
    // Authorities of the system that rustls cannot read are left out.
    for found in rustls_native_certs::load_native_certs().certs {
        let _added = roots.add(found);
    }
    let own = believed.own.map(certificates).transpose()?;
    let crypto = Arc::new(ring::default_provider());
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto.clone()).build();
    let trust = Trust {
        own: own.and_then(|chain| chain.into_iter().next()),
        // There are none on a machine without any.
        authorities: authorities.ok(),
        crypto: crypto.clone(),
    };
    let config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::failed("TLS cannot be spoken").detail(error.to_string()))?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    Ok(config.with_no_client_auth())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("there is no certificate in it".to_owned()),
        Err(error) => Err(error.to_string()),
    }
    .map_err(|why| {
        Failure::usage(format!("Certificates of {} cannot be read", file.display())).detail(why)
    })
}

/// Believes one certificate whatever its name, and others by their authorities.
struct Trust {
    own: Option<CertificateDer<'static>>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    crypto: Arc<CryptoProvider>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.as_ref() == Some(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use test_support::certificates::Certificates;

    use super::*;

    /// A server that speaks TLS and has one page. It ends when dropped.
    struct Server {
        process: Child,
        port: u16,
        _pages: tempfile::TempDir,
    }

    impl Server {
        fn start(certificates: &Certificates) -> Self {
            let pages = tempfile::tempdir().unwrap();
            let page = "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhere";
            std::fs::write(pages.path().join("page"), page).unwrap();
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let process = Command::new("openssl")
                .args(["s_server", "-HTTP", "-quiet", "-accept"])
                .arg(format!("127.0.0.1:{port}"))
                .arg("-cert")
                .arg(certificates.server())
                .arg("-key")
                .arg(certificates.key())
                .current_dir(pages.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            Self {
                process,
                port,
                _pages: pages,
            }
        }

        /// Asks for the page by this name of the machine, as soon as the server is there.
        async fn ask(&self, host: &str, believed: Believed<'_>) -> Result<String, SendError> {
            let url: Url = format!("https://{host}:{}/page", self.port)
                .parse()
                .unwrap();
            let transport = Transport::new(&[&url], believed).unwrap();
            for attempt in 0.. {
                let answer = transport
                    .send(transport.request(Method::GET, url.clone()))
                    .await;
                match answer {
                    Ok(mut answer) => {
                        let mut text = Vec::new();
                        while let Some(chunk) = Transport::chunk(&mut answer).await.unwrap() {
                            text.extend_from_slice(&chunk);
                        }
                        return Ok(String::from_utf8(text).unwrap());
                    }
                    Err(error) if attempt < 200 && error.why().contains("refused") => {
                        tokio::time::sleep(Duration::from_millis(25)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
            unreachable!("the attempts are counted")
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            // It may have ended by itself.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    #[tokio::test]
    async fn a_certificate_is_believed_by_its_authority_and_for_its_name() {
        let (certificates, other) = (Certificates::make(), Certificates::make());
        let server = Server::start(&certificates);
        let (authority, others) = (certificates.authority(), other.authority());
        let by = |ca_file| Believed { ca_file, own: None };
        let page = server.ask("127.0.0.1", by(Some(&authority))).await;
        assert_eq!(page.unwrap(), "here");
        for (host, ca_file) in [
            ("127.0.0.1", None),
            ("127.0.0.1", Some(others.as_path())),
            // The certificate is for the address.
            ("localhost", Some(authority.as_path())),
        ] {
            let refused = server.ask(host, by(ca_file)).await.unwrap_err();
            assert!(refused.is_of_certificate(), "{host}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn that_of_the_gateway_here_is_believed_whatever_its_name() {
        let (certificates, other) = (Certificates::make(), Certificates::make());
        let server = Server::start(&certificates);
        let (own, others) = (certificates.server(), other.server());
        let here = |own| Believed { ca_file: None, own };
        let page = server.ask("localhost", here(Some(&own))).await;
        assert_eq!(page.unwrap(), "here");
        let refused = server.ask("localhost", here(Some(&others))).await;
        assert!(refused.unwrap_err().is_of_certificate());
    }

    #[test]
    fn a_file_without_authorities_is_told() {
        let url: Url = "https://127.0.0.1:1/".parse().unwrap();
        for file in ["/does/not/exist.pem", "/dev/null"] {
            let believed = Believed {
                ca_file: Some(Path::new(file)),
                own: None,
            };
            let refused = Transport::new(&[&url], believed).map(drop).unwrap_err();
            assert!(refused.to_string().contains(file), "{refused}");
        }
    }
}
