//! Values as they stand in sequence files.

use std::net::IpAddr;

use super::{CallArgument, GuestCall, LinkSpeed, Literal, StaticAddress};

/// A truth value as in the original: the first letter decides. `y`, `t` and `1` begin a yes; `n`,
/// `f` and `0` begin a no, without regard to case; `None` for anything else.
///
/// The original read the digits of `blocker` the other way round, by mistake; no file of its
/// collection used them there, and here they mean the same everywhere.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().chars().next()?.to_ascii_lowercase() {
        'y' | 't' | '1' => Some(true),
        'n' | 'f' | '0' => Some(false),
        _ => None,
    }
}

/// The parts between commas, without the white space around them; empty ones are left out.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// `172.16.0.1/24`.
pub(super) fn parse_address(text: &str) -> Option<StaticAddress> {
    let (address, prefix) = text.trim().split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= most).then_some(StaticAddress { address, prefix })
}

/// `10G`, `100M`.
pub(super) fn parse_speed(text: &str) -> Option<LinkSpeed> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let factor = match unit {
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor).map(LinkSpeed::bits)
}

/// `name`, or `name(arguments)` where each argument is a literal, with or without a name. A `#` and
/// what is behind it is a comment, as in the language in which the original evaluated it.
pub(super) fn parse_call(text: &str) -> Option<GuestCall> {
    let text = text.trim();
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    };
    let Some((method, rest)) = text.split_once('(') else {
        return is_name(text).then(|| GuestCall { method: text.into(), arguments: Vec::new() });
    };
    let method = method.trim();
    if !is_name(method) {
        return None;
    }
    let mut arguments = Vec::new();
    let mut rest = rest.trim_start();
    loop {
        if let Some(end) = rest.strip_prefix(')') {
            let end = end.trim_start();
            let whole = end.is_empty() || end.starts_with('#');
            return whole.then(|| GuestCall { method: method.into(), arguments });
        }
        let name = rest.find(['=', ',', ')', '\'', '"']).filter(|at| rest[*at..].starts_with('='));
        let name = name.map(|at| (rest[..at].trim(), &rest[at + 1..]));
        let name = match name {
            Some((name, after)) if is_name(name) => {
                rest = after.trim_start();
                Some(name.to_owned())
            }
            Some(_) => return None,
            None => None,
        };
        let (value, after) = parse_literal(rest)?;
        arguments.push(CallArgument { name, value });
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with(')') => {}
            None => return None,
        }
    }
}

fn parse_literal(text: &str) -> Option<(Literal, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (value, rest) = text[1..].split_once(quote)?;
        return (!value.contains('\\')).then(|| (Literal::Text(value.to_owned()), rest));
    }
    let end = text.find([',', ')'])?;
    let value = match text[..end].trim() {
        "None" => Literal::None,
        "True" => Literal::Bool(true),
        "False" => Literal::Bool(false),
        number => Literal::Number(number.parse().ok()?),
    };
    Some((value, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_decides() {
        for yes in ["yes", "Y", "true", "T", "1", " yes"] {
            assert_eq!(parse_bool(yes), Some(true), "{yes:?}");
        }
        for no in ["no", "N", "false", "0"] {
            assert_eq!(parse_bool(no), Some(false), "{no:?}");
        }
        for neither in ["", " ", "on", "2", "maybe"] {
            assert_eq!(parse_bool(neither), None, "{neither:?}");
        }
    }

    #[test]
    fn calls_have_literal_arguments_alone() {
        let call = parse_call("setup(4, name='a, b)', on=True)#").unwrap();
        assert_eq!(call.method, "setup");
        let values: Vec<_> = call
            .arguments
            .iter()
            .map(|argument| (argument.name.as_deref(), argument.value.clone()))
            .collect();
        let expected = [
            (None, Literal::Number(4)),
            (Some("name"), Literal::Text("a, b)".into())),
            (Some("on"), Literal::Bool(true)),
        ];
        assert_eq!(values, expected);
        assert_eq!(parse_call("start").unwrap().arguments, []);
        for wrong in ["", "a b", "a(", "a(b)", "a(__import__('os'))", "a();b()", "1()", "a('\\'')"]
        {
            assert_eq!(parse_call(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn addresses_and_speeds_have_their_parts() {
        assert_eq!(parse_address("172.16.0.1/24").unwrap().prefix, 24);
        assert_eq!(parse_address("fe80::1/64").unwrap().prefix, 64);
        for wrong in ["172.16.0.1", "172.16.0.1/33", "x/24", "/"] {
            assert_eq!(parse_address(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse_speed("10G"), Some(LinkSpeed::gigabits(10)));
        for wrong in ["", "10", "G", "0G", "10g", "99999999999999G"] {
            assert_eq!(parse_speed(wrong), None, "{wrong:?}");
        }
    }
}
