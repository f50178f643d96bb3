//! What a command prints, and how it fails.

use crate::xe::{api_message, api_parameters};

/// What a command leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    /// It is a question so far, which nobody has answered.
    pub(super) asked: bool,
}

impl Answer {
    pub(super) fn line(text: impl Into<String>) -> Self {
        Self::text(text.into() + "\n")
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { stdout: text.into().into_bytes(), ..Self::default() }
    }

    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// The connection broke.
    pub(super) fn lost() -> Self {
        Self::failed("Lost connection to the server.\n")
    }

    pub(super) fn failed(stderr: impl Into<String>) -> Self {
        Self { status: 1, stderr: stderr.into(), ..Self::default() }
    }
}

/// How a command fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error of the API, with the values of its parameters.
    Api(String, Vec<String>),
    /// `Error: ...`
    Client(String),
    /// Another text on standard error.
    Text(String),
    /// A table on standard output and an error of the API.
    NoHost(String),
}

impl Failure {
    pub(super) fn api<V: Into<String>>(code: &str, values: impl IntoIterator<Item = V>) -> Self {
        Self::Api(code.to_owned(), values.into_iter().map(Into::into).collect())
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::api("INTERNAL_ERROR", [message.into()])
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Text(format!("{}\nFor usage run: 'xe help'\n", text.into()))
    }

    /// As `xe` prints it.
    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Client(text) => Answer::failed(format!("Error: {text}\n")),
            Self::Text(text) => Answer::failed(text),
            Self::NoHost(table) => {
                let error = Self::api::<String>("NO_HOSTS_AVAILABLE", []).answer();
                Answer { stdout: table.into_bytes(), ..error }
            }
            Self::Api(code, values) => Answer::failed(api_text(&code, &values)),
        }
    }
}

fn api_text(code: &str, values: &[String]) -> String {
    let (Some(message), Some(names)) = (api_message(code), api_parameters(code)) else {
        return format!("Error code: {code}\nError parameters: {}\n", values.join(", "));
    };
    let mut text = format!("{message}\n");
    for index in 0..names.len().max(values.len()) {
        let name = names.get(index).copied().unwrap_or("<extra>");
        let value = values.get(index).map_or("<unknown>", String::as_str);
        text.push_str(&format!("{name}: {value}\n"));
    }
    text
}
