//! Requests that ask a framework to read another method than the one they were sent with.

use http::request::Parts;

use super::headers::spelled_like;

/// Headers by which frameworks let a request name its method.
const HEADERS: [&str; 3] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];
/// The parameter by which they do.
const PARAMETER: &str = "_method";

/// Whether the service behind the gate may read another method in this request than the gate does:
/// from a header, or from the query. What a body says is not read here.
pub fn names_another_method(head: &Parts) -> bool {
    let names = |name| HEADERS.iter().any(|known| spelled_like(name, known));
    head.headers.keys().any(names) || head.uri.query().is_some_and(has_parameter)
}

fn has_parameter(query: &str) -> bool {
    // Some frameworks separate parameters by semicolons too.
    let mut pairs = query.split(['&', ';']);
    pairs.any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let mut names = url::form_urlencoded::parse(name.as_bytes());
        names.any(|(name, _)| is_parameter(&name))
    })
}

/// Whether some framework reads this name as the parameter: PHP takes dots and spaces for
/// underscores, leaves out blanks before and what follows a NUL, and `_method[]` is a list.
fn is_parameter(name: &str) -> bool {
    let name = name.split(['[', '\0']).next().unwrap_or_default().trim();
    let name = name.replace(['.', ' '], "_");
    name.eq_ignore_ascii_case(PARAMETER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_the_query_may_name_another_method() {
        let names = |uri: &str, header: Option<&str>| {
            let mut request = http::Request::get(uri);
            if let Some(header) = header {
                request = request.header(header, "POST");
            }
            names_another_method(&request.body(()).unwrap().into_parts().0)
        };
        for uri in [
            "/x?_method=DELETE",
            "/x?a=1&_method=PUT",
            "/x?a=1;_method=PUT",
            "/x?%5Fmethod=PUT",
            "/x?_METHOD=PUT",
            "/x?_method%5B%5D=PUT",
            "/x?.method=PUT",
            "/x?+_method=PUT",
            "/x?_method",
            "/x?_method%00=PUT",
        ] {
            assert!(names(uri, None), "{uri}");
        }
        for uri in [
            "/x",
            "/_method",
            "/x?method=PUT",
            "/x?a=_method",
            "/x?_methods=1",
        ] {
            assert!(!names(uri, None), "{uri}");
        }
        for header in [
            "X-HTTP-Method",
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X_HTTP_Method_Override",
            "x-http.method-override",
        ] {
            assert!(names("/x", Some(header)), "{header}");
        }
    }
}
