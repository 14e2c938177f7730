//! A browser without JavaScript: keeps cookies, sends forms, follows nothing by itself.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use contract::principal::{self, Principal};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request};
use tower::ServiceExt;

/// Largest page a test reads.
const PAGE_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    pub(crate) passes: Vec<Principal>,
    pub(crate) origin: &'static str,
}

pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Browser {
    pub(crate) fn new(router: &Router) -> Self {
        Self {
            router: router.clone(),
            cookies: BTreeMap::new(),
            passes: Vec::new(),
            origin: "http://shop.test",
        }
    }

    pub(crate) async fn open(&mut self, path: &str) -> Page {
        self.ask(path, "text/html,application/xhtml+xml,*/*;q=0.8")
            .await
    }

    /// What a client gets that accepts this.
    pub(crate) async fn ask(&mut self, path: &str, accept: &str) -> Page {
        let request = Request::get(path).header(ACCEPT, accept);
        self.send(request, Body::empty()).await
    }

    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header(ORIGIN, self.origin);
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace('@', "%40").replace(' ', "+")))
            .collect();
        self.send(request, Body::from(pairs.join("&"))).await
    }

    async fn send(&mut self, request: http::request::Builder, body: Body) -> Page {
        let mut request = request.header(HOST, "shop.test").body(body).unwrap();
        principal::write(&self.passes, request.headers_mut());
        for (name, value) in &self.cookies {
            let cookie = HeaderValue::from_str(&format!("{name}={value}")).unwrap();
            request.headers_mut().append(COOKIE, cookie);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = to_bytes(body, PAGE_BYTES_MAX).await.unwrap();
        Page {
            status: parts.status.as_u16(),
            headers: parts.headers,
            html: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

impl Page {
    /// The page, which has to have this status and contain these texts.
    #[track_caller]
    pub(crate) fn shows(self, status: u16, texts: &[&str]) -> Self {
        assert_eq!(self.status, status, "{}", self.html);
        for text in texts {
            assert!(self.html.contains(text), "no {text:?} in {}", self.html);
        }
        self
    }

    /// Where the answer leads, which has to be 303.
    #[track_caller]
    pub(crate) fn leads(&self) -> String {
        assert_eq!(self.status, 303, "{}", self.html);
        self.headers[LOCATION].to_str().unwrap().to_owned()
    }

    /// The value of a hidden field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let before = format!("name=\"{name}\" value=\"");
        let rest = self.html.split_once(&before).expect(name).1;
        rest.split('"').next().unwrap().to_owned()
    }
}
