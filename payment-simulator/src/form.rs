//! Form bodies and query strings in Stripe's bracket notation.
//!
//! `metadata[hold_id]=h1` is the field `metadata` with the path `hold_id`; `expand[]=charges` is
//! an element of the list `expand`.

use crate::error::ApiError;

/// Fields per request. Stripe's largest call, with fifty metadata pairs, needs fewer.
const FIELDS_MAX: usize = 200;

/// Levels of brackets per field.
const DEPTH_MAX: usize = 6;

/// A decoded form. If a field is repeated, the last value is used.
#[derive(Debug, Default)]
pub(crate) struct Form {
    fields: Vec<Field>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    path: Vec<String>,
    value: String,
}

impl Form {
    /// Decodes `application/x-www-form-urlencoded` text.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if fields.len() == FIELDS_MAX {
                return Err(ApiError::invalid(
                    "parameters_too_many",
                    format!("A request carries at most {FIELDS_MAX} parameters."),
                    None,
                ));
            }
            let path = split_brackets(&name).ok_or_else(|| {
                ApiError::invalid(
                    "parameter_unknown",
                    format!("Received unknown parameter: {name}"),
                    Some(&name),
                )
            })?;
            fields.push(Field {
                path,
                value: value.into_owned(),
            });
        }
        Ok(Self { fields })
    }

    /// The value at `path`, or `None` when it is absent or empty: an empty text unsets a field.
    pub(crate) fn text(&self, path: &[&str]) -> Option<&str> {
        self.fields
            .iter()
            .rev()
            .find(|field| field.path == path)
            .map(|field| field.value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The pairs one level below `root`, such as those of `metadata`.
    pub(crate) fn pairs<'a>(&'a self, root: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields
            .iter()
            .filter_map(move |field| match field.path.as_slice() {
                [first, key] if first == root && !key.is_empty() => {
                    Some((key.as_str(), field.value.as_str()))
                }
                _ => None,
            })
    }

    /// The pairs of `root[branch][…]`.
    pub(crate) fn pairs_below<'a>(
        &'a self,
        root: &'a str,
        branch: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields
            .iter()
            .filter_map(move |field| match field.path.as_slice() {
                [first, second, key] if first == root && second == branch => {
                    Some((key.as_str(), field.value.as_str()))
                }
                _ => None,
            })
    }

    /// Whether the caller wants `property` as a whole object instead of its id.
    pub(crate) fn expands(&self, property: &str) -> bool {
        self.expanded().any(|wanted| wanted == property)
    }

    /// Refuses to expand anything that is not in `known`.
    pub(crate) fn demand_expandable(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.expanded().find(|wanted| !known.contains(wanted)) {
            None => Ok(()),
            Some(wanted) => Err(ApiError::invalid(
                "parameter_unknown",
                format!("This property cannot be expanded ({wanted})."),
                Some("expand"),
            )),
        }
    }

    fn expanded(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter();
        fields
            .filter(|field| field.path.first().is_some_and(|root| root == "expand"))
            .map(|field| field.value.as_str())
    }

    /// Refuses fields whose outermost name is not in `known`.
    pub(crate) fn demand_known(&self, known: &[&str]) -> Result<(), ApiError> {
        let unknown = self
            .fields
            .iter()
            .filter_map(|field| field.path.first())
            .find(|root| !known.contains(&root.as_str()) && *root != "expand");
        match unknown {
            None => Ok(()),
            Some(root) => Err(ApiError::invalid(
                "parameter_unknown",
                format!("Received unknown parameter: {root}"),
                Some(root),
            )),
        }
    }

    /// A whole number at `name`.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.integer_at(&[name], name)
    }

    /// A whole number at `path`, reported as `name` when it is none.
    pub(crate) fn integer_at(&self, path: &[&str], name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(path) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            ApiError::invalid(
                "parameter_invalid_integer",
                format!("Invalid integer: {text}"),
                Some(name),
            )
        })
    }

    /// `true` or `false` at `name`, `false` when absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(&[name]) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(ApiError::invalid(
                "parameter_invalid_boolean",
                format!("Invalid boolean: {other}"),
                Some(name),
            )),
        }
    }

    /// A text that is equal for forms with the same fields in any order.
    pub(crate) fn canonical(&self) -> String {
        let mut fields: Vec<&Field> = self.fields.iter().collect();
        // Sorting by path is stable, so elements of a list keep their order.
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let mut text = form_urlencoded::Serializer::new(String::new());
        for field in fields {
            text.append_pair(&field.path.join("\u{1f}"), &field.value);
        }
        text.finish()
    }
}

/// Splits `a[b][c]` into its parts, or `None` when the brackets do not pair up.
fn split_brackets(name: &str) -> Option<Vec<String>> {
    let (root, mut rest) = match name.find('[') {
        None => return (!name.is_empty()).then(|| vec![name.to_owned()]),
        Some(at) => name.split_at(at),
    };
    if root.is_empty() {
        return None;
    }
    let mut path = vec![root.to_owned()];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[')?;
        let (part, after) = inner.split_once(']')?;
        if part.contains('[') || path.len() == DEPTH_MAX {
            return None;
        }
        path.push(part.to_owned());
        rest = after;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn brackets_nest() {
        let form = form(
            "amount=1200&metadata%5Bhold_id%5D=h+1&metadata[x]=%C3%A9\
             &payment_method_data[card][token]=tok_visa&expand[]=a&expand[]=b",
        );
        assert_eq!(form.integer("amount").unwrap(), Some(1200));
        assert_eq!(
            form.pairs("metadata").collect::<Vec<_>>(),
            [("hold_id", "h 1"), ("x", "é")]
        );
        assert_eq!(
            form.text(&["payment_method_data", "card", "token"]),
            Some("tok_visa")
        );
    }

    #[test]
    fn the_last_value_counts_and_empty_text_unsets() {
        assert_eq!(form("a=1&a=2").text(&["a"]), Some("2"));
        assert_eq!(form("a=").text(&["a"]), None);
    }

    #[test]
    fn malformed_brackets_are_refused() {
        for name in [
            "a[b",
            "a]b[",
            "[a]=1",
            "a[b]c",
            "a[b[c]]",
            "a[1][2][3][4][5][6]",
        ] {
            assert!(Form::parse(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn unknown_parameters_are_named() {
        let error = form("amount=1&nonsense[x]=2")
            .demand_known(&["amount"])
            .unwrap_err();
        assert_eq!(error.param(), Some("nonsense"));
        assert!(form("expand[]=x").demand_known(&[]).is_ok());
    }

    #[test]
    fn numbers_and_flags_are_checked() {
        assert!(form("amount=12.5").integer("amount").is_err());
        assert!(form("confirm=yes").flag("confirm").is_err());
        assert!(form("confirm=true").flag("confirm").unwrap());
    }

    #[test]
    fn canonical_text_ignores_the_order_of_fields_only() {
        assert_eq!(form("a=1&b=2").canonical(), form("b=2&a=1").canonical());
        assert_ne!(form("a=1&b=2").canonical(), form("a=2&b=1").canonical());
        assert_ne!(
            form("l[]=1&l[]=2").canonical(),
            form("l[]=2&l[]=1").canonical()
        );
    }

    #[test]
    fn a_form_of_too_many_fields_is_refused() {
        let text = (0..=FIELDS_MAX)
            .map(|n| format!("metadata[{n}]=x"))
            .collect::<Vec<_>>()
            .join("&");
        assert!(Form::parse(text.as_bytes()).is_err());
    }
}
