//! Commands of `xe` as one remote command.
//!
//! Several commands are one shell line, so that they cost one round trip and no process but their
//! own. Each output ends with a line that holds a new random token: no value can hold it, so that
//! none can be taken for the output of another command.

use uuid::Uuid;
use xenrt_core::remote::{Command, Output};

use super::understand::Ran;
use super::{Login, Result, XeCommand, XeError};
use crate::parse::not_understood;

/// Variables that would change what `xe` does. In `HOME` it looks for a file `.xe`, whose lines are
/// arguments too (options.ml); it needs that for nothing else.
const CLEARED: [&str; 4] = ["XE_EXTRA_ARGS", "TRACEPARENT", "BAGGAGE", "HOME"];

/// A shell line that runs `xe` with these words, which are quoted already, untouched by what the
/// administrator prepared.
pub(crate) fn bare(words: &str) -> String {
    format!("unset {}; exec xe {words}", CLEARED.join(" "))
}

/// The beginning of a line that has a folder for a login, gone with the shell: also where its group
/// is told to end more than once, by who watches the connection and by who asked, and where nobody
/// reads any more that `xe` was ended. Its name is new and known before there is one: a shell that is
/// told to end while the folder is made has it removed too.
fn folder() -> String {
    let name = Uuid::new_v4().simple();
    format!(
        "umask 077\n\
         d=${{TMPDIR:-/tmp}}/xenrt-xe.{name}\n\
         trap 'trap \"\" HUP INT TERM PIPE; rm -rf -- \"$d\"' EXIT\n\
         trap 'trap \"\" HUP INT TERM PIPE; exit 98' HUP INT TERM PIPE\n\
         mkdir -- \"$d\" || exit 97\n"
    )
}

/// `end` tells the status of the command before it in a line of its own that no value can hold, as
/// it is new each time; the errors end with such a line too. It starts no process.
const END: &str = "end() { printf '\\n%s %s\\n' \"$t\" \"$1\"; printf '\\n%s\\n' \"$t\" >&2\n\
     unset XE_EXTRA_ARGS; [ \"$1\" = 0 ] || exit 0; }\n";

/// Ends the line where the command before it printed something.
const ONLY_IF_NOTHING: &str = "[ -z \"$o\" ] || exit 0\n";

/// Keeps the UUID that the command before it printed; ends the line where it is none.
const KEEP: &str = "u=$o; case $u in ''|*[!0-9a-f-]*) exit 0;; esac\n";

/// A remote command, and how its output is to be read.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) command: Command,
    /// What ends the output of each of several commands.
    token: Option<String>,
}

/// The remote command for `commands`; the first one that fails is the last one that runs.
pub(super) fn remote(login: &Login, commands: &[XeCommand]) -> Result<Sent> {
    if let ([command], Login::Local) = (commands, login)
        && command.secrets().is_empty()
        && command.made_keys().is_empty()
    {
        let cleared = CLEARED.iter().flat_map(|name| ["-u", *name]);
        let words = command.words()?;
        let mut sent = Command::new("env").args(cleared).arg("xe").args(words);
        if command.waits() {
            sent = sent.ends_with_connection();
        }
        return Ok(Sent { command: sent, token: None });
    }
    let mut line = String::new();
    if matches!(login, Login::Remote { .. }) {
        line.push_str(&folder());
    }
    let token = Uuid::new_v4().to_string();
    line.push_str(&format!("unset {}\nt={token}\n{END}", CLEARED.join(" ")));
    let (mut stdin, mut secrets) = (String::new(), Vec::new());
    let mut xe = String::from("xe");
    if let Login::Remote { server, port, user, password } = login {
        if let Some(problem) = login.problem() {
            return Err(XeError::Refused { command: "login".to_owned(), problem });
        }
        // A builtin of the shell: no process has the password among its arguments.
        line.push_str(
            "IFS= read -r u; IFS= read -r p; printf '%s\\n%s\\n' \"$u\" \"$p\" >\"$d/login\"\n",
        );
        stdin.push_str(&format!("{user}\n{password}\n"));
        secrets.push(password.clone());
        xe.push_str(&format!(" -s {}", Command::quote(server)));
        if let Some(port) = port {
            xe.push_str(&format!(" -p {port}"));
        }
        xe.push_str(" -pwf \"$d/login\"");
    }
    for command in commands {
        let words: Vec<String> = command.words()?.iter().map(|word| Command::quote(word)).collect();
        if !command.secrets().is_empty() {
            let extra = command.secrets().iter().map(|(key, value)| {
                secrets.push(value.clone());
                format!("{key}={value}").replace(',', "\\,")
            });
            stdin.push_str(&extra.collect::<Vec<_>>().join(","));
            stdin.push('\n');
            line.push_str("IFS= read -r XE_EXTRA_ARGS; export XE_EXTRA_ARGS\n");
        }
        let mut own = format!("{xe} {}", words.join(" "));
        for key in command.made_keys() {
            own.push_str(&format!(" {key}=\"$u\""));
        }
        // What it prints is needed here as well, or not. Both cost one process.
        line.push_str(&if command.is_kept() || command.ends_unless_empty() {
            format!("o=$({own} </dev/null); s=$?; printf '%s\\n' \"$o\"; end $s\n")
        } else {
            format!("{own} </dev/null; end $?\n")
        });
        if command.ends_unless_empty() {
            line.push_str(ONLY_IF_NOTHING);
        }
        if command.is_kept() {
            line.push_str(KEEP);
        }
    }
    let mut command = Command::shell_line(line).stdin(stdin);
    if commands.iter().any(XeCommand::waits) {
        command = command.ends_with_connection();
    }
    for secret in secrets {
        command = command.secret(secret);
    }
    Ok(Sent { command, token: Some(token) })
}

impl Sent {
    /// What each command left that was run, in order.
    ///
    /// # Errors
    /// When there is no `xe`, or the output is not in the form that the shell line prints.
    pub(super) fn read(&self, output: Output, target: &str) -> Result<Vec<Ran>> {
        // Not masked yet: a password may be a word of xapi's own texts.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let missing = |stderr: &str| {
            stderr.contains("'xe': No such file")
                || stderr.contains("xe: not found")
                || stderr.contains("xe: command not found")
        };
        let Some(token) = &self.token else {
            let stderr = text(&output.stderr);
            let Some(status) = output.status.code() else {
                let error = output.require_success(&self.command, target);
                return Err(error.map_or_else(XeError::from, |_| no_xe(target)));
            };
            if status == 127 && missing(&stderr) {
                return Err(no_xe(target));
            }
            return Ok(vec![Ran { status, stdout: text(&output.stdout), stderr }]);
        };
        if !output.status.success() {
            output.require_success(&self.command, target)?;
            return Ok(Vec::new());
        }
        let (mut out, mut err) = (output.stdout.as_slice(), output.stderr.as_slice());
        let mut all = Vec::new();
        while !out.is_empty() {
            let frame = frame(out, err, token);
            let Some(Frame { status, stdout, stderr, rest }) = frame else {
                let expected = "a status after each output";
                let found = self.command.mask(&text(out));
                return Err(not_understood("commands of xe", expected, &found).into());
            };
            let stderr = text(stderr);
            if status == 127 && missing(&stderr) {
                return Err(no_xe(target));
            }
            all.push(Ran { status, stdout: text(stdout), stderr });
            (out, err) = rest;
        }
        Ok(all)
    }
}

fn no_xe(target: &str) -> XeError {
    let (target, program) = (target.to_owned(), "xe".to_owned());
    XeError::Remote(xenrt_core::remote::RemoteError::NoSuchProgram { target, program })
}

/// What one command left, and what follows on both streams.
#[derive(Debug)]
struct Frame<'a> {
    status: i32,
    stdout: &'a [u8],
    stderr: &'a [u8],
    rest: (&'a [u8], &'a [u8]),
}

/// The first frame of two streams.
fn frame<'a>(out: &'a [u8], err: &'a [u8], token: &str) -> Option<Frame<'a>> {
    let (stdout, after) = split(out, format!("\n{token} ").as_bytes())?;
    let (status, out) = split(after, b"\n")?;
    let (stderr, err) = split(err, format!("\n{token}\n").as_bytes())?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    Some(Frame { status, stdout, stderr, rest: (out, err) })
}

/// What stands before and after the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xenrt_core::remote::{ExitStatus, Stdin};

    fn remote_login() -> Login {
        let (server, user, password) = ("192.0.2.1".into(), "root".into(), "pass, w\\ord".into());
        Login::Remote { server, port: Some(4443), user, password }
    }

    /// A folder with a script that is called `xe`.
    fn fake(xe: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xe");
        std::fs::write(&path, format!("#!/bin/sh\n{xe}\n")).unwrap();
        let made = std::fs::metadata(&path).unwrap();
        let mut mode = made.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(&path, mode).unwrap();
        folder
    }

    fn ended(done: std::process::Output) -> Output {
        Output {
            status: ExitStatus::Code(done.status.code().unwrap()),
            stdout: done.stdout,
            stderr: done.stderr,
            elapsed: std::time::Duration::ZERO,
        }
    }

    /// Runs a remote command here, with `xe` as this script; each argument is printed on a line.
    fn run_here(login: &Login, commands: &[XeCommand], xe: &str) -> Vec<Ran> {
        let folder = fake(xe);
        let sent = remote(login, commands).unwrap();
        let Stdin::Bytes(stdin) = sent.command.stdin_value().clone() else {
            return run_line(&sent, folder.path(), &[]);
        };
        run_line(&sent, folder.path(), &stdin)
    }

    fn run_line(sent: &Sent, folder: &std::path::Path, stdin: &[u8]) -> Vec<Ran> {
        use std::io::Write as _;
        let mut child = std::process::Command::new("sh")
            .args(["-c", &sent.command.to_shell_line()])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("TMPDIR", folder)
            .env("XE_EXTRA_ARGS", "minimal=true")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let done = child.wait_with_output().unwrap();
        let output = ended(done);
        // Nothing stays behind.
        let left = std::fs::read_dir(folder).unwrap().filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("xenrt-xe")
        });
        assert_eq!(left.count(), 0);
        sent.read(output, "here").unwrap()
    }

    fn set(value: &str) -> XeCommand {
        XeCommand::new("vm-param-set").uuid(Uuid::nil()).param("name-label", value)
    }

    #[test]
    fn arguments_arrive_and_the_administrators_do_not() {
        let print = "for a; do echo \"<$a>\"; done; echo \"extra <$XE_EXTRA_ARGS>\"";
        let one = run_here(&Login::Local, &[set("it's; $(id) \"\\")], print);
        assert_eq!(one.len(), 1);
        assert!(one[0].stdout.contains("<name-label=it's; $(id) \"\\>\nextra <>"), "{one:?}");
        let two = run_here(&Login::Local, &[set("-x"), set("a\tb")], print);
        assert!(two[0].stdout.contains("<name-label=-x>\nextra <>"), "{two:?}");
        assert!(two[1].stdout.contains("<name-label=a\tb>"), "{two:?}");
    }

    /// Its group is told to end by whatever makes the folder, as soon as there is one.
    #[test]
    fn a_line_that_is_told_to_end_leaves_no_folder_behind() {
        let folder = fake("echo ran");
        let mkdir = folder.path().join("mkdir");
        std::fs::write(&mkdir, "#!/bin/sh\n/bin/mkdir \"$@\" && kill -TERM 0 && sleep 1\n")
            .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&mkdir, mode).unwrap();
        let sent = remote(&remote_login(), &[set("a")]).unwrap();
        let mut shell = std::process::Command::new("sh");
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let done = shell
            .args(["-c", &sent.command.to_shell_line()])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("TMPDIR", folder.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!((done.status.code(), done.stdout.len()), (Some(98), 0), "{done:?}");
        let left =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["mkdir", "xe"]);
    }

    #[test]
    fn the_first_failure_ends_the_line() {
        let fail = "printf 'out\\n'; printf 'err\\n' >&2; exit 1";
        let ran = run_here(&Login::Local, &[set("a"), set("b")], fail);
        assert_eq!(ran, [Ran { status: 1, stdout: "out\n".into(), stderr: "err\n".into() }]);
    }

    /// In each shell that there is here: XenServer's `sh` is bash.
    #[test]
    fn outputs_are_framed_byte_for_byte_in_every_shell() {
        let odd = "größe\\n \n\n%s\t-n ' \" $(id) \u{7f}\n\n";
        let print = format!("cat <<'EOF'\n{odd}\nEOF\ncat <<'EOF' >&2\n{odd}{odd}\nEOF\n");
        let sent = remote(&Login::Local, &[set("a"), set("b")]).unwrap();
        for shell in ["sh", "bash", "busybox"] {
            for locale in ["C.UTF-8", "C"] {
                let folder = fake(&print);
                let mut program = std::process::Command::new(shell);
                if shell == "busybox" {
                    program.arg("sh");
                }
                let Ok(done) = program
                    .args(["-c", &sent.command.to_shell_line()])
                    .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
                    .env("LC_ALL", locale)
                    .output()
                else {
                    assert_ne!(shell, "sh");
                    continue;
                };
                let ran = sent.read(ended(done), "here").unwrap();
                let (stdout, stderr) = (format!("{odd}\n"), format!("{odd}{odd}\n"));
                assert_eq!(ran, vec![Ran { status: 0, stdout, stderr }; 2], "{shell} {locale}");
            }
        }
    }

    #[test]
    fn what_was_made_is_named_by_what_comes_after_and_a_name_that_is_taken_ends_the_line() {
        let vm = Uuid::from_u128(7);
        let chain = || {
            let taken = XeCommand::new("vm-list").param("name-label", "x").only_if_nothing();
            let install = XeCommand::new("vm-install").param("new-name-label", "x").kept();
            let set = XeCommand::new("vm-param-set").made("uuid").param("name-label", "y");
            [taken.minimal(), install, set]
        };
        let xe = |listed: &str, made: &str| {
            format!(
                "case $1 in vm-list) echo '{listed}';; vm-install) echo '{made}';; *) echo \"$@\";; esac"
            )
        };
        let ran = run_here(&Login::Local, &chain(), &xe("", &vm.to_string()));
        assert_eq!(ran[2].stdout, format!("vm-param-set name-label=y uuid={vm}\n"));
        assert_eq!(run_here(&Login::Local, &chain(), &xe("other", "")).len(), 1);
        assert_eq!(run_here(&Login::Local, &chain(), &xe("", "odd; id")).len(), 2);
        assert_eq!(run_here(&Login::Local, &chain(), &xe("", "")).len(), 2);
    }

    #[test]
    fn passwords_are_in_no_arguments_and_reach_xe() {
        let join = XeCommand::new("pool-join")
            .param("master-address", "h")
            .param("master-username", "root")
            .secret("master-password", "one, two");
        let sent = remote(&remote_login(), std::slice::from_ref(&join)).unwrap();
        let line = sent.command.to_shell_line();
        assert!(!line.contains("ord") && !line.contains("one, two"), "{line}");
        let print = "for a; do echo \"<$a>\"; done; echo \"$XE_EXTRA_ARGS\" | tr o 0; while [ \"$1\" ]; \
                     do [ \"$1\" != -pwf ] || tr o 0 <\"$2\"; shift; done";
        let ran = run_here(&remote_login(), &[join, set("a")], print);
        assert!(ran[0].stdout.contains("<-s>\n<192.0.2.1>\n<-p>\n<4443>\n<-pwf>"), "{ran:?}");
        assert!(ran[0].stdout.contains("master-passw0rd=0ne\\, tw0"), "{ran:?}");
        assert!(ran[0].stdout.contains("r00t\npass, w\\0rd\n"), "{ran:?}");
        assert!(!ran[1].stdout.contains("master-passw0rd"), "{ran:?}");
        // What a program prints of it is masked where an error is made of it, not before.
        let fail = "echo 'bad password pass, w\\ord' >&2; exit 1";
        let shown = run_here(&remote_login(), &[set("a")], fail);
        assert_eq!(shown[0].stderr, "bad password pass, w\\ord\n");
    }

    proptest! {
        #[test]
        fn frames_give_back_what_was_put_in(parts in proptest::collection::vec((0..3, any::<Vec<u8>>(), any::<Vec<u8>>()), 0..4)) {
            let token = Uuid::from_u128(9).to_string();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for (status, stdout, stderr) in &parts {
                out.extend(stdout);
                out.extend(format!("\n{token} {status}\n").into_bytes());
                err.extend(stderr);
                err.extend(format!("\n{token}\n").into_bytes());
            }
            let mut rest = (out.as_slice(), err.as_slice());
            for (status, stdout, stderr) in &parts {
                let read = frame(rest.0, rest.1, &token).unwrap();
                prop_assert_eq!(
                    (read.status, read.stdout, read.stderr),
                    (*status, stdout.as_slice(), stderr.as_slice())
                );
                rest = read.rest;
            }
            prop_assert!(rest.0.is_empty() && rest.1.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(out: Vec<u8>, err: Vec<u8>) {
            let _ = frame(&out, &err, "x");
        }
    }
}
