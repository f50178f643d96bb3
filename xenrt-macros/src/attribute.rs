//! What stands in the parentheses of `#[testcase(...)]`.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, Token, parenthesized, token};

use crate::duration;
use crate::suggest::suggest;

const ATTRIBUTES: &[&str] =
    &["id", "legacy", "tc", "timeout", "requires", "claims", "blocker", "tags"];

/// The names of `xenrt_core::sequence::Claim`.
const CLAIMS: &[&str] = &["shared", "exclusive"];

/// The names of `xenrt_core::model::Ability`; a test of the workspace holds the two together.
const ABILITIES: &[&str] = &[
    "pv",
    "pvh",
    "hvm",
    "suspend",
    "save",
    "live_migration",
    "vcpu_hotplug",
    "memory_hotplug",
    "disk_hotplug",
    "vif_hotplug",
    "rename_running",
    "snapshots",
    "console_log",
    "networks",
    "pool",
    "storage",
    "templates",
    "interfaces",
];

/// A described test. Where something was wrong, its default stands here and the error beside it.
#[derive(Debug, Default)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) legacy: Vec<String>,
    pub(crate) tc: Option<String>,
    pub(crate) timeout: Option<Duration>,
    /// `None` where it does not say.
    pub(crate) hosts: Option<usize>,
    pub(crate) abilities: Vec<Ident>,
    /// How it uses its hosts, and the guest that it is meant for: names of [`CLAIMS`].
    pub(crate) host_claim: Option<Ident>,
    pub(crate) guest_claim: Option<Ident>,
    pub(crate) blocker: bool,
    pub(crate) tags: Vec<String>,
}

/// Errors that are told together.
#[derive(Debug, Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(Error::new(span, message));
    }

    pub(crate) fn into_option(self) -> Option<Error> {
        self.0
    }
}

/// `name`, `name = value` or `name(...)`.
struct Item {
    name: Ident,
    value: Value,
}

enum Value {
    None,
    Is(Expr),
    List(TokenStream),
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Value::Is(input.parse()?)
        } else if input.peek(token::Paren) {
            let list;
            parenthesized!(list in input);
            Value::List(list.parse()?)
        } else {
            Value::None
        };
        Ok(Self { name, value })
    }
}

pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Description {
    let mut description = Description::default();
    let whole = if tokens.is_empty() { Span::call_site() } else { tokens.span() };
    let items = match Punctuated::<Item, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(items) => items,
        Err(error) => {
            errors.push(error);
            return description;
        }
    };
    let mut seen: Vec<String> = Vec::new();
    for Item { name, value } in items {
        let text = name.to_string();
        if seen.contains(&text) {
            errors.at(name.span(), format!("`{text}` is given twice; remove one of them"));
            continue;
        }
        match text.as_str() {
            "id" => {
                if let Some((id, span)) = string(&name, value, "\"network.hfx745\"", errors) {
                    check_id(&id, span, errors);
                    description.id = id;
                }
            }
            "legacy" => legacy(&name, value, &mut description, errors),
            "tc" => {
                if let Some((tc, span)) = string(&name, value, "\"TC-19178\"", errors) {
                    if tc.is_empty() || tc.contains(char::is_whitespace) {
                        errors.at(span, "expected a number such as \"TC-19178\", without spaces");
                    }
                    description.tc = Some(tc);
                }
            }
            "timeout" => {
                if let Some((text, span)) = string(&name, value, "\"20m\"", errors) {
                    description.timeout = duration::parse(&text);
                    if description.timeout.is_none() {
                        errors.at(
                            span,
                            format!(
                                "{text:?} is not a duration; expected whole numbers with h, m, s \
                                 or ms, such as \"90s\", \"20m\" or \"1h 30m\""
                            ),
                        );
                    }
                }
            }
            "requires" => requires(&name, value, &mut description, errors),
            "claims" => claims(&name, value, &mut description, errors),
            "blocker" => {
                if !matches!(value, Value::None) {
                    errors.at(name.span(), "`blocker` has no value; expected `blocker` alone");
                }
                description.blocker = true;
            }
            "tags" => tags(&name, value, &mut description, errors),
            unknown => errors.at(
                name.span(),
                format!("unknown attribute `{unknown}`; {}", suggest(unknown, ATTRIBUTES)),
            ),
        }
        seen.push(text);
    }
    if !seen.iter().any(|name| name == "id") {
        errors.at(whole, "a test case needs an id: #[testcase(id = \"network.hfx745\")]");
    }
    description
}

fn string(
    name: &Ident,
    value: Value,
    example: &str,
    errors: &mut Errors,
) -> Option<(String, Span)> {
    let span = match &value {
        Value::Is(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => {
            return Some((text.value(), text.span()));
        }
        Value::Is(other) => other.span(),
        Value::None | Value::List(_) => name.span(),
    };
    errors.at(span, format!("expected a string: `{name} = {example}`"));
    None
}

/// The strings of `name("a", "b")`.
fn strings(list: TokenStream, expected: &str, errors: &mut Errors) -> Vec<(String, Span)> {
    let values = match Punctuated::<Expr, Token![,]>::parse_terminated.parse2(list) {
        Ok(values) => values,
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    let mut strings: Vec<(String, Span)> = Vec::new();
    for value in values {
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &value else {
            errors.at(value.span(), format!("expected a string: `{expected}`"));
            continue;
        };
        if strings.iter().any(|(earlier, _)| *earlier == text.value()) {
            errors
                .at(text.span(), format!("{:?} is given twice; remove one of them", text.value()));
        }
        strings.push((text.value(), text.span()));
    }
    strings
}

fn check_id(id: &str, span: Span, errors: &mut Errors) {
    if is_id(id) {
        return;
    }
    let repaired = id.to_lowercase().replace([' ', ':', '/'], ".");
    let hint =
        if is_id(&repaired) { format!("; did you mean {repaired:?}?") } else { String::new() };
    errors.at(
        span,
        format!(
            "{id:?} is not an id; expected lower-case words with digits, `_` and `-`, and dots \
             between them, such as \"network.hfx745\"{hint}"
        ),
    );
}

fn is_id(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    text.split('.').all(|word| !word.is_empty() && word.chars().all(inner))
}

fn legacy(name: &Ident, value: Value, description: &mut Description, errors: &mut Errors) {
    const EXPECTED: &str = "legacy = \"testcases.xenserver.tc.network.TCHfx745\"";
    let ids = match value {
        Value::List(list) => {
            let ids = strings(list.clone(), EXPECTED, errors);
            if list.is_empty() {
                errors.at(name.span(), format!("no legacy id is given; expected `{EXPECTED}`"));
            }
            ids
        }
        value => {
            let example = EXPECTED.trim_start_matches("legacy = ");
            string(name, value, example, errors).into_iter().collect()
        }
    };
    for (id, span) in ids {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !id.split('.').all(|word| !word.is_empty() && word.chars().all(inner)) {
            errors.at(span, format!("{id:?} is not an id of the original; expected `{EXPECTED}`"));
        }
        description.legacy.push(id);
    }
}

fn tags(name: &Ident, value: Value, description: &mut Description, errors: &mut Errors) {
    const EXPECTED: &str = "tags(\"network\", \"security\")";
    let Value::List(list) = value else {
        errors.at(name.span(), format!("expected `{EXPECTED}`"));
        return;
    };
    if list.is_empty() {
        errors.at(name.span(), format!("no tag is given; expected `{EXPECTED}`, or remove `tags`"));
    }
    for (tag, span) in strings(list, EXPECTED, errors) {
        if !is_id(&tag) {
            errors.at(
                span,
                format!("{tag:?} is not a tag; expected a lower-case word, with digits, `_`, `-`"),
            );
        }
        description.tags.push(tag);
    }
}

fn requires(name: &Ident, value: Value, description: &mut Description, errors: &mut Errors) {
    const EXPECTED: &str = "requires(hosts = 2, live_migration)";
    let Value::List(list) = value else {
        errors.at(name.span(), format!("expected `{EXPECTED}`"));
        return;
    };
    if list.is_empty() {
        let message = format!("nothing is required; expected `{EXPECTED}`, or remove `requires`");
        errors.at(name.span(), message);
    }
    let items = match Punctuated::<Item, Token![,]>::parse_terminated.parse2(list) {
        Ok(items) => items,
        Err(error) => return errors.push(error),
    };
    for Item { name, value } in items {
        let text = name.to_string();
        if text == "hosts" {
            if description.hosts.is_some() {
                errors.at(name.span(), "`hosts` is given twice; remove one of them");
            }
            description.hosts = Some(hosts(&name, value, errors));
        } else if !ABILITIES.contains(&text.as_str()) {
            let mut known = vec!["hosts"];
            known.extend(ABILITIES);
            errors.at(name.span(), format!("unknown ability `{text}`; {}", suggest(&text, &known)));
        } else if description.abilities.contains(&name) {
            errors.at(name.span(), format!("`{text}` is given twice; remove one of them"));
        } else if !matches!(value, Value::None) {
            errors.at(name.span(), format!("an ability has no value; expected `{text}` alone"));
        } else {
            description.abilities.push(name);
        }
    }
}

fn claims(name: &Ident, value: Value, description: &mut Description, errors: &mut Errors) {
    const EXPECTED: &str = "claims(host = \"exclusive\", guest = \"shared\")";
    let Value::List(list) = value else {
        errors.at(name.span(), format!("expected `{EXPECTED}`"));
        return;
    };
    if list.is_empty() {
        let message = format!("nothing is claimed; expected `{EXPECTED}`, or remove `claims`");
        errors.at(name.span(), message);
    }
    let items = match Punctuated::<Item, Token![,]>::parse_terminated.parse2(list) {
        Ok(items) => items,
        Err(error) => return errors.push(error),
    };
    for Item { name, value } in items {
        let text = name.to_string();
        let slot = match text.as_str() {
            "host" => &mut description.host_claim,
            "guest" => &mut description.guest_claim,
            _ => {
                let suggestion = suggest(&text, &["host", "guest"]);
                errors.at(name.span(), format!("`{text}` cannot be claimed; {suggestion}"));
                continue;
            }
        };
        if slot.is_some() {
            errors.at(name.span(), format!("`{text}` is given twice; remove one of them"));
        }
        let Some((claim, span)) = string(&name, value, "\"exclusive\"", errors) else { continue };
        if CLAIMS.contains(&claim.as_str()) {
            *slot = Some(Ident::new(&claim, span));
        } else {
            let suggestion = suggest(&claim, CLAIMS);
            errors.at(span, format!("{claim:?} is no way to claim; {suggestion}"));
        }
    }
}

fn hosts(name: &Ident, value: Value, errors: &mut Errors) -> usize {
    let (span, hosts) = match &value {
        Value::Is(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => {
            (number.span(), number.base10_parse::<usize>().ok().filter(|hosts| *hosts > 0))
        }
        Value::Is(other) => (other.span(), None),
        Value::None | Value::List(_) => (name.span(), None),
    };
    hosts.unwrap_or_else(|| {
        errors.at(span, "expected a number of at least 1: `hosts = 2`");
        1
    })
}
