//! One command for `xe`, and what is refused before it is sent.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::nearest::hint;

use super::vocabulary::{self, Form};
use super::{Result, XeError};

/// Arguments that the client itself takes, wherever they stand (newcli.ml, `parse_args`).
const SWALLOWED: &[&str] = &[
    "server",
    "port",
    "username",
    "password",
    "passwordfile",
    "nossl",
    "debug",
    "debugonfail",
    "traceparent",
];

/// One command for `xe`: its name and its parameters, each a key and a value.
///
/// Values may hold anything but what xapi itself cannot take; that is refused by
/// [`check`](Self::check), and so by everything that sends a command.
///
/// ```
/// use xenrt_xapi::xe::XeCommand;
/// let set = XeCommand::new("vm-param-set")
///     .param("uuid", "f44d0d91-fd65-2c50-2ef5-6cab86714bb0")
///     .param("name-label", "--force; $(reboot)");
/// assert!(set.check().is_ok());
/// assert!(set.param("name-description", "two\nlines").check().is_err());
/// // Without a selector this would shut down every VM of the pool.
/// assert!(XeCommand::new("vm-shutdown").flag("force").check().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct XeCommand {
    name: String,
    parameters: Vec<(String, String)>,
    secrets: Vec<(String, String)>,
    /// Parameters whose value is the UUID that an earlier command of the same line printed.
    made: Vec<String>,
    kept: bool,
    only_if_nothing: bool,
    deadline: Option<Duration>,
}

impl XeCommand {
    /// A command without parameters yet.
    ///
    /// It must be one that this library knows: `*-list` and `*-param-*` of every class, and the
    /// commands that act which a test needs, with the parameters that `xe help` tells of them.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            parameters: Vec::new(),
            secrets: Vec::new(),
            made: Vec::new(),
            kept: false,
            only_if_nothing: false,
            deadline: None,
        }
    }

    /// Adds `key=value`. A key of a map is `map:key`.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((key.into(), value.into()));
        self
    }

    /// Adds `key=value` where there is a value.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.param(key, value),
            None => self,
        }
    }

    /// Adds `key=true`.
    #[must_use]
    pub fn flag(self, key: &str) -> Self {
        self.param(key, "true")
    }

    /// Adds `uuid=...`: the object that it is about.
    #[must_use]
    pub fn uuid(self, uuid: Uuid) -> Self {
        self.param("uuid", uuid.to_string())
    }

    /// Adds `params=...`: the fields that a list is to show.
    #[must_use]
    pub fn fields(self, fields: &[&str]) -> Self {
        self.param("params", fields.join(","))
    }

    /// Has a list print one line with the first field of each object (see
    /// [`minimal`](crate::parse::minimal)).
    #[must_use]
    pub fn minimal(self) -> Self {
        self.flag("minimal")
    }

    /// Adds a parameter whose value must never be shown. It reaches `xe` through standard input and
    /// its environment, so that no list of processes shows it, and is masked everywhere here.
    #[must_use]
    pub fn secret(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.push((key.into(), value.into()));
        self
    }

    /// Adds a parameter whose value is the UUID of what an earlier command of the same
    /// [chain](super::Xe::run_chain) made, the last one that is [kept](Self::kept).
    #[must_use]
    pub fn made(mut self, key: impl Into<String>) -> Self {
        self.made.push(key.into());
        self
    }

    /// Says that it makes one object which later commands of a chain [name](Self::made). Where it
    /// prints no UUID, the chain ends with it.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Says that the commands after it in a chain are run only if it prints nothing: a list that
    /// must be empty.
    #[must_use]
    pub fn only_if_nothing(mut self) -> Self {
        self.only_if_nothing = true;
        self
    }

    /// Sets how long it may take, tries anew included; otherwise the client's own
    /// [deadline](super::Xe::deadline) counts.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The command's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn deadline_value(&self) -> Option<Duration> {
        self.deadline
    }

    pub(super) fn secrets(&self) -> &[(String, String)] {
        &self.secrets
    }

    pub(super) fn made_keys(&self) -> &[String] {
        &self.made
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(super) fn ends_unless_empty(&self) -> bool {
        self.only_if_nothing
    }

    /// The same with what was made filled in.
    pub(crate) fn with_made(&self, uuid: Uuid) -> Self {
        let mut command = self.clone();
        for key in std::mem::take(&mut command.made) {
            command = command.param(key, uuid.to_string());
        }
        command
    }

    /// Whether it waits for something that may never come.
    pub(super) fn waits(&self) -> bool {
        self.name == "event-wait"
    }

    /// Whether it only asks, so that it can be sent twice without harm.
    pub fn only_asks(&self) -> bool {
        let asks = ["-list", "-param-get", "-query", "-cpu-info", "-dmesg", "-view"];
        let also = ["event-wait", "host-is-in-emergency-mode", "diagnostic-vm-status"];
        asks.iter().any(|suffix| self.name.ends_with(suffix))
            || also.contains(&self.name.as_str())
            || self.name.ends_with("-which-prevent-evacuation")
    }

    /// Whether it asks a person before it acts, unless it is forced.
    pub(super) fn prompts(&self) -> bool {
        matches!(vocabulary::form(&self.name), Ok(Form::Acts(acts)) if acts.prompts)
    }

    /// Nothing where it can be sent.
    ///
    /// # Errors
    /// [`XeError::Refused`] with the reason; see the [traps](super).
    pub fn check(&self) -> Result<()> {
        let form = vocabulary::form(&self.name).map_err(|problem| self.refused(problem))?;
        let made: Vec<(String, String)> =
            self.made.iter().map(|key| (key.clone(), "made".to_owned())).collect();
        let all = || self.parameters.iter().chain(&self.secrets).chain(&made);
        for (index, (key, value)) in all().enumerate() {
            self.check_key(&form, key)?;
            check_value(value).map_err(|problem| self.refused(format!("{key}: {problem}")))?;
            // Filters of a list may be repeated: all of them must hold.
            let repeated = all().take(index).any(|(earlier, _)| earlier == key);
            if repeated && form != Form::List {
                return Err(self.refused(format!("{key} is given twice; the first would count")));
            }
        }
        for (key, value) in &self.secrets {
            // XE_EXTRA_ARGS knows no way to write a backslash.
            if key.contains('\\') || value.contains('\\') {
                let problem = "a secret cannot hold a backslash (XE_EXTRA_ARGS of xe drops it)";
                return Err(self.refused(format!("{key}: {problem}")));
            }
        }
        if let Some(missing) = form.required().iter().find(|name| all().all(|(k, _)| k != *name)) {
            return Err(self.refused(format!("the parameter {missing} is missing")));
        }
        self.check_selector(&form)
    }

    fn check_key(&self, form: &Form, key: &str) -> Result<()> {
        let (name, map_key) = key.split_once(':').unwrap_or((key, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || !name.chars().all(plain)
            || map_key.contains(|c: char| c == '=' || c.is_control())
        {
            let problem = "is no name of a parameter (a key of a map must not hold `=`)";
            return Err(self.refused(format!("{key:?} {problem}")));
        }
        if SWALLOWED.contains(&key) {
            return Err(self.refused(format!(
                "{key}= is taken by the xe client itself and would never reach the server"
            )));
        }
        let common =
            key == "minimal" || matches!(form, Form::Acts(a) if key == "force" && a.prompts);
        if !form.takes(key) && !common {
            let nearest = hint(key, form.names());
            return Err(self.refused(format!(
                "{key} is no parameter of it, and would be ignored in silence{nearest}"
            )));
        }
        Ok(())
    }

    fn check_selector(&self, form: &Form) -> Result<()> {
        let Form::Acts(acts) = form else { return Ok(()) };
        let selectors = || self.parameters.iter().filter(|(key, _)| form.selected_by(key));
        let made = self.made.iter().any(|key| form.selected_by(key));
        if acts.selects && selectors().count() == 0 && !made {
            return Err(self.refused("nothing selects an object, so that it would act on all"));
        }
        if let Some((key, _)) = selectors().find(|(_, value)| value.is_empty()) {
            return Err(self.refused(format!("the selector {key}= is empty")));
        }
        if acts.required.contains(&"uuid")
            && self.parameters.iter().any(|(key, value)| key == "uuid" && value.is_empty())
        {
            return Err(self.refused("the uuid is empty"));
        }
        Ok(())
    }

    /// The words after `xe` and its own options, secrets not included.
    pub(super) fn words(&self) -> Result<Vec<String>> {
        self.check()?;
        let mut words = vec![self.name.clone()];
        words.extend(self.parameters.iter().map(|(key, value)| format!("{key}={value}")));
        if self.prompts() && self.parameters.iter().all(|(key, _)| key != "force") {
            words.push("force=true".to_owned());
        }
        Ok(words)
    }

    fn refused(&self, problem: impl Into<String>) -> XeError {
        XeError::Refused { command: self.name.clone(), problem: problem.into() }
    }
}

/// Refuses what a value cannot hold.
fn check_value(value: &str) -> Result<(), String> {
    let problem = if value.contains('\n') {
        "it holds a line end, which would begin another argument on the server"
    } else if value.contains('\0') {
        "it holds a NUL character, which no argument can"
    } else if value.ends_with('\r') {
        "it ends with a carriage return, which xapi drops"
    } else {
        return Ok(());
    };
    Err(format!("{value:?} cannot be sent: {problem}"))
}

/// As a person would type it, secrets masked.
impl fmt::Display for XeCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xe {}", self.name)?;
        for (key, value) in &self.parameters {
            let word = format!("{key}={value}");
            write!(f, " {}", xenrt_core::remote::Command::quote(&word))?;
        }
        for (key, _) in &self.secrets {
            write!(f, " {key}=***")?;
        }
        for key in &self.made {
            write!(f, " {key}=(made)")?;
        }
        Ok(())
    }
}

/// Like [`Display`](fmt::Display), so that no `{:?}` shows a secret.
impl fmt::Debug for XeCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XeCommand({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(command: &XeCommand) -> String {
        command.check().unwrap_err().to_string()
    }

    fn set(value: &str) -> XeCommand {
        XeCommand::new("vm-param-set").uuid(Uuid::nil()).param("name-description", value)
    }

    #[test]
    fn what_would_become_something_else_on_the_server_is_refused() {
        for value in ["x\nname-label=INJECTED", "\n", "a\0b", "x\r"] {
            assert!(problem(&set(value)).contains("cannot be sent"), "{value:?}");
        }
        for value in ["", " a ", "a=b=c", "--force", "-x", "a\tb", "a\rb", "a\\b\"c'", "中;,:$(id)"]
        {
            assert!(set(value).check().is_ok(), "{value:?}");
        }
    }

    #[test]
    fn what_the_client_takes_is_refused_and_its_like_is_not() {
        for key in SWALLOWED {
            let command = XeCommand::new("vm-list").param(*key, "x");
            assert!(problem(&command).contains("taken by the xe client"), "{key}");
        }
        let create = XeCommand::new("sr-create").param("name-label", "a").param("type", "smb");
        assert!(create.param("device-config:server", "h").check().is_ok());
    }

    #[test]
    fn nothing_is_done_to_everything() {
        assert!(problem(&XeCommand::new("vm-shutdown").flag("force")).contains("act on all"));
        let clone = XeCommand::new("vm-clone").param("new-name-label", "x");
        assert!(problem(&clone).contains("act on all"));
        assert!(problem(&clone.clone().param("uuid", "")).contains("empty"));
        assert!(problem(&clone.clone().flag("multiple")).contains("act on all"));
        assert!(clone.uuid(Uuid::nil()).check().is_ok());
        // Here an empty value means something: disks that nobody uses.
        assert!(XeCommand::new("vdi-list").param("vbd-uuids", "").check().is_ok());
    }

    #[test]
    fn parameters_that_would_be_ignored_are_refused() {
        let create = XeCommand::new("network-create").param("name-label", "x");
        let typo = problem(&create.clone().param("name-descripton", "y"));
        assert!(typo.contains("ignored in silence") && typo.contains("name-description"), "{typo}");
        assert!(problem(&XeCommand::new("network-create")).contains("name-label is missing"));
        assert!(problem(&create.param("name-label", "y")).contains("twice"));
        assert!(problem(&XeCommand::new("vm-param-get").uuid(Uuid::nil())).contains("param-name"));
        assert!(problem(&XeCommand::new("vm-list").param("-x", "y")).contains("no name"));
        assert!(problem(&XeCommand::new("vm-list").param("a=b", "y")).contains("no name"));
    }

    #[test]
    fn questions_are_answered_beforehand() {
        let words = XeCommand::new("vm-uninstall").uuid(Uuid::nil()).words().unwrap();
        assert_eq!(words.last().unwrap(), "force=true");
        let words = XeCommand::new("vm-uninstall").uuid(Uuid::nil()).flag("force").words().unwrap();
        assert_eq!(words.iter().filter(|word| *word == "force=true").count(), 1);
        assert!(!XeCommand::new("vm-start").uuid(Uuid::nil()).prompts());
    }

    #[test]
    fn secrets_are_not_shown() {
        let join = XeCommand::new("pool-join")
            .param("master-address", "h")
            .param("master-username", "root")
            .secret("master-password", "s3cret");
        assert!(join.check().is_ok());
        assert!(!format!("{join} {join:?} {:?}", join.words()).contains("s3cret"));
        assert!(problem(&join.secret("x", "a\\b")).contains("is no parameter"));
    }
}
