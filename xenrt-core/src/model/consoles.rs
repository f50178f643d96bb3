//! What Xen's console daemon records, for the toolstacks that have it in dom0.

use std::time::Duration;

use crate::remote::Command;

/// Where xenconsoled records the consoles of guests.
///
/// ```
/// use xenrt_core::model::XenConsoles;
///
/// let consoles = XenConsoles::told_by("/usr/sbin/xenconsoled --log=guest").unwrap();
/// let command = consoles.read("web 1", []).to_string();
/// assert!(command.contains("/var/log/xen/console/guest-web 1.log"));
/// assert_eq!(XenConsoles::told_by("/usr/sbin/xenconsoled --log=hv"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XenConsoles {
    folder: String,
}

impl XenConsoles {
    /// The line for a shell of dom0 that prints the command line of the daemon, or nothing.
    pub const LOOK: &str = "ps -e -o args= | grep '[x]enconsoled ' || true";

    /// Why a host has no records, and what would make it have some.
    pub const ABSENT: &str = "xenconsoled does not record consoles; set XENCONSOLED_TRACE=guest in \
                              /etc/default/xen (or xencommons) of dom0 and restart it";

    /// The longest that reading a record may take.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Reads the command line of the daemon (xenconsoled(8): `--log` and `--log-dir`). Nothing where it does not
    /// record guests.
    pub fn told_by(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let option = |long: &str| {
            words.iter().enumerate().find_map(|(at, word)| {
                let rest = word.strip_prefix(long)?;
                rest.strip_prefix('=')
                    .or_else(|| words.get(at + 1).copied().filter(|_| rest.is_empty()))
            })
        };
        let logged = option("--log").is_some_and(|what| matches!(what, "guest" | "all"));
        let folder = option("--log-dir").unwrap_or("/var/log/xen/console");
        logged.then(|| Self { folder: folder.to_owned() })
    }

    /// The command that prints the end of the record, 64 KiB at most, of a guest that has this name and had those
    /// `former` ones: a record has the name that the domain had when it was made. The newest counts; none is no error.
    pub fn read<'a>(&self, name: &'a str, former: impl IntoIterator<Item = &'a str>) -> Command {
        let file = |name: &str| Command::quote(&format!("{}/guest-{name}.log", self.folder));
        let files: Vec<String> = std::iter::once(name).chain(former).map(file).collect();
        let line = format!(
            "file=$(ls -t -- {} 2>/dev/null | head -n 1); [ -z \"$file\" ] || tail -c 65536 -- \"$file\"",
            files.join(" ")
        );
        Command::shell_line(line).deadline(Self::DEADLINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{LocalShell, ShellExt as _};

    #[test]
    fn consoles_are_recorded_when_xenconsoled_says_so() {
        let folder = |line| XenConsoles::told_by(line).map(|own| own.folder);
        assert_eq!(folder("xenconsoled --pid-file /run/x.pid"), None);
        assert_eq!(folder("/usr/sbin/xenconsoled --log=hv"), None);
        let default = Some("/var/log/xen/console".to_owned());
        assert_eq!(folder("xenconsoled --pid-file /run/x.pid --log=guest"), default);
        assert_eq!(folder("xenconsoled --log all --log-dir /logs"), Some("/logs".to_owned()));
        assert_eq!(folder(""), None);
    }

    #[tokio::test]
    async fn the_newest_record_of_a_guest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let consoles =
            XenConsoles::told_by(&format!("xenconsoled --log=guest --log-dir={at}")).unwrap();
        let write = |name: &str, text: &str, age: u64| {
            let file =
                std::fs::File::create(folder.path().join(format!("guest-{name}.log"))).unwrap();
            std::io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
            let when = std::time::SystemTime::now() - Duration::from_secs(age);
            file.set_modified(when).unwrap();
        };
        write("it's old", "first name\n", 60);
        write("-n", "second name\n", 0);
        write("other", "another guest\n", 0);
        let shell = LocalShell::new();
        let read = |name: &'static str, former: &'static [&'static str]| {
            let command = consoles.read(name, former.iter().copied());
            let shell = &shell;
            async move { shell.text(&command).await.unwrap() }
        };
        assert_eq!(read("-n", &["it's old"]).await, "second name");
        assert_eq!(read("it's old", &[]).await, "first name");
        assert_eq!(read("never there", &[]).await, "");
        write("long", &format!("{}end", "x".repeat(100_000)), 0);
        let long = read("long", &[]).await;
        assert!(long.len() == 65_536 && long.ends_with("end"), "{}", long.len());
    }
}
