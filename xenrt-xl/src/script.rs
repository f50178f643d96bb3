//! Shell lines for dom0: what belongs together is done with one ssh command.

use uuid::Uuid;
use xenrt_core::remote::Command;

use crate::error::REFUSAL;
use crate::parse::SECTION;

/// A shell line that is being put together. It stops at the first step that fails.
#[derive(Debug)]
pub(crate) struct Script(String);

impl Script {
    /// Begins one; `refuse KIND MESSAGE` in it ends it with a refusal that is understood here.
    pub(crate) fn new() -> Self {
        Self(format!("set -e; refuse() {{ echo \"{REFUSAL}$1: $2\" >&2; exit 3; }}\n"))
    }

    /// Adds a step. Nothing in it is quoted; names go through [`q`].
    #[must_use]
    pub(crate) fn step(mut self, line: impl AsRef<str>) -> Self {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
        self
    }

    /// Adds the steps of another one.
    #[must_use]
    pub(crate) fn then(mut self, other: Self) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// Begins a section of the output.
    #[must_use]
    pub(crate) fn section(self, name: &str) -> Self {
        // The line end before it is for texts that do not end with one.
        self.step(format!("printf '\\n%s\\n' {}", q(&format!("{SECTION}{name}"))))
    }

    /// Prints `xl list -v` and keeps it in `$list`.
    #[must_use]
    pub(crate) fn list(self) -> Self {
        self.step("list=$(xl list -v); printf '%s\\n' \"$list\"")
    }

    /// Sets `$id` and `$state` to the domain of `uuid` and its six state flags, from `$list`; both
    /// are empty where it has none. One that is being removed counts only where there is no other.
    ///
    /// Names may hold anything, so the columns are counted from the end of a line. The shell does it
    /// by itself: each program costs an emulated host some 100 ms, and this is part of every look.
    #[must_use]
    pub(crate) fn find(self, uuid: Uuid) -> Self {
        self.step("id=; state=; set -f; IFS='\n'; for line in $list; do unset IFS")
            .step(format!("case $line in *' {uuid} '*) set -- $line ;; *) continue ;; esac"))
            .step("[ $# -ge 8 ] || continue; shift $(($# - 8))")
            .step(format!("[ \"$6\" = {uuid} ] || continue"))
            .step("case \"$id $4\" in ' '*|*[!d]) id=$1; state=$4 ;; esac")
            .step("done; unset IFS; set +f")
    }

    /// Sets `$id` and `$state` for `uuid` from a fresh list.
    #[must_use]
    pub(crate) fn domain(self, uuid: Uuid) -> Self {
        self.step("list=$(xl list -v)").find(uuid)
    }

    /// Requires that there is a domain that is not being removed.
    #[must_use]
    pub(crate) fn require_domain(self) -> Self {
        self.step("case \"$id $state\" in ' '*|*d) refuse NoSuchObject 'it has no domain';; esac")
    }

    /// The line as a command.
    pub(crate) fn command(self) -> Command {
        Command::shell_line(self.0)
    }
}

/// One word for the shell.
pub(crate) fn q(word: &str) -> String {
    Command::quote(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &Script) -> (String, String) {
        let output = std::process::Command::new("sh").args(["-c", &script.0]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    fn find_in(list: &str) -> String {
        let uuid = "3ae0c1a1-5cc8-4beb-b648-2eab78dffecc".parse().unwrap();
        let list = format!("list={}", q(list));
        run(&Script::new().step(list).find(uuid).step("echo \"<$id|$state>\"")).0
    }

    #[test]
    fn a_domain_is_found_by_its_identity_whatever_its_name() {
        let line = |name: &str, id: u32, state: &str, uuid: &str| {
            format!("{name:<40} {id:>5} 64 1     {state}  1.5 {uuid}  -  -\n")
        };
        let own = "3ae0c1a1-5cc8-4beb-b648-2eab78dffecc";
        let other = "e0d745f9-a64d-4673-9c9d-ec006bed110a";
        let first = line("a b c d e f g", 3, "-b----", other);
        assert_eq!(find_in(&(first.clone() + &line("$(x) 'y'", 7, "r-----", own))), "<7|r----->\n");
        // A guest whose name is another one's identity.
        let odd = line(&format!("1 2 3 4 5 6 {own}"), 4, "-b----", other);
        assert_eq!(find_in(&odd), "<|>\n");
        let zombie = line("(null)", 5, "--ps-d", own);
        assert_eq!(find_in(&zombie), "<5|--ps-d>\n");
        let live = line("x", 6, "--p---", own);
        assert_eq!(find_in(&(zombie.clone() + &live)), "<6|--p--->\n");
        assert_eq!(find_in(&(live + &zombie)), "<6|--p--->\n");
    }

    #[test]
    fn a_missing_domain_and_a_zombie_are_refused() {
        for (id, state, refused) in [("", "", true), ("5", "--ps-d", true), ("5", "-b----", false)]
        {
            let script = Script::new().step(format!("id={id}; state={state}")).require_domain();
            let (_, stderr) = run(&script);
            assert_eq!(stderr.starts_with("xenrt-refusal NoSuchObject: "), refused, "{id} {state}");
        }
    }
}
