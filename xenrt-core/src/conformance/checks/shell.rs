//! The shell of the control domain.

use std::time::Duration;

use tokio::time::Instant;

use crate::conformance::check::Check;
use crate::conformance::problem::{Problem, ensure, same};
use crate::remote::{Command, ExitStatus, RemoteError, ShellExt as _};

pub(super) const CHECKS: &[Check] = &[
    Check::quick("shell.output", "standard output comes byte for byte", |cx| {
        Box::pin(async move {
            let output = cx.host().dom0().execute(&Command::new("echo").arg("a  b")).await?;
            same("standard output", output.stdout, b"a  b\n".to_vec())
        })
    }),
    Check::quick("shell.errors", "standard error comes apart from standard output", |cx| {
        Box::pin(async move {
            let line = Command::shell_line("echo out; echo err >&2");
            let output = cx.host().dom0().execute(&line).await?;
            let (out, err) = (output.text(), output.error_text());
            same("both", (out.trim(), err.trim()), ("out", "err"))
        })
    }),
    Check::quick(
        "shell.status",
        "the exit status of a command is told, and is no error by itself",
        |cx| {
            Box::pin(async move {
                let output = cx.host().dom0().execute(&Command::shell_line("exit 7")).await?;
                same("the status", output.status, ExitStatus::Code(7))
            })
        },
    ),
    Check::quick(
        "shell.failure",
        "a command that must succeed and fails is an error with its status",
        |cx| {
            Box::pin(async move {
                match cx.host().dom0().run(&Command::new("false")).await {
                    Err(RemoteError::Failed { status, .. }) => {
                        same("the status", status, ExitStatus::Code(1))
                    }
                    other => ensure(false, format!("it is {other:?}, not RemoteError::Failed")),
                }
            })
        },
    ),
    Check::quick("shell.missing_program", "a program that there is not is told", |cx| {
        Box::pin(async move {
            match cx.host().dom0().run(&Command::new("xrtc-no-such-program")).await {
                Err(RemoteError::NoSuchProgram { .. }) => Ok(()),
                other => ensure(false, format!("it is {other:?}, not RemoteError::NoSuchProgram")),
            }
        })
    }),
    Check::quick("shell.quoting", "arguments arrive as they are", |cx| {
        Box::pin(async move {
            let words = ["a b", "it's", "$(id)", "`id`", "*", "a;b|c&d", "\"", "\\", "größe", ""];
            for word in words {
                let command = Command::new("printf").args(["%s", word]);
                let output = cx.host().dom0().execute(&command).await?;
                same("the argument", output.text().as_str(), word)?;
            }
            Ok(())
        })
    }),
    Check::quick("shell.stdin", "a command reads what it is given, and then the end", |cx| {
        Box::pin(async move {
            let command = Command::new("cat").stdin("line 1\nline 2");
            let output = cx.host().dom0().execute(&command).await?;
            same("what it read", output.text().as_str(), "line 1\nline 2")
        })
    }),
    Check::quick(
        "shell.deadline",
        "a command that outlives its deadline is ended, and that is told in time",
        |cx| {
            Box::pin(async move {
                let started = Instant::now();
                let deadline = Duration::from_secs(2);
                let command = Command::new("sleep").arg("100").deadline(deadline);
                let result = cx.host().dom0().execute(&command).await;
                let took = started.elapsed();
                ensure(
                    matches!(result, Err(RemoteError::Deadline { .. })),
                    format!("it is {result:?}, not RemoteError::Deadline"),
                )?;
                ensure((deadline..deadline * 10).contains(&took), format!("it took {took:?}"))
            })
        },
    ),
    Check::quick("shell.files", "a file is read as it was written, zero bytes included", |cx| {
        Box::pin(async move {
            let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
            let path = cx.path("bytes 'and' $x");
            cx.host().dom0().write_file(&path, &bytes, 0o600).await?;
            let read = cx.host().dom0().read_file(&path).await?;
            ensure(read == bytes, format!("{} of {} bytes, or others", read.len(), bytes.len()))
        })
    }),
    Check::quick(
        "shell.file_is_replaced",
        "a file that is written again has the new bytes alone",
        |cx| {
            Box::pin(async move {
                let path = cx.path("bytes");
                let dom0 = cx.host().dom0();
                dom0.write_file(&path, b"the first and longer text", 0o600).await?;
                dom0.write_file(&path, b"second", 0o600).await?;
                same("the file", dom0.read_text(&path).await?.as_str(), "second")
            })
        },
    ),
    Check::quick("shell.missing_file", "a file that there is not cannot be read", |cx| {
        Box::pin(async move {
            let result = cx.host().dom0().read_file("/no/such/file").await;
            ensure(result.is_err(), "it was read")?;
            ensure(!cx.has_file("/no/such/file").await?, "it is said to be there")
        })
    }),
    Check::quick(
        "shell.missing_folder",
        "a file cannot be written into a folder that there is not",
        |cx| {
            Box::pin(async move {
                let result = cx.host().dom0().write_file("/no/such/folder/file", b"x", 0o600).await;
                ensure(result.is_err(), "it was written")
            })
        },
    ),
    Check::quick(
        "shell.process",
        "a process that was started runs until it is stopped, and is gone then",
        |cx| {
            Box::pin(async move {
                let dom0 = cx.host().dom0();
                let process = dom0.start(&Command::new("sleep").arg("4321")).await?;
                ensure(process.is_running(), "it does not run")?;
                // How it ended depends on who was faster; that it did is looked at.
                let _ = process.stop().await;
                ensure(!process.is_running(), "it still runs")?;
                let listed = dom0.execute(&Command::new("ps").args(["-e", "-o", "args="])).await?;
                ensure(!listed.text().contains("sleep 4321"), "it is still listed in dom0")
            })
        },
    ),
    Check::quick(
        "shell.process_lines",
        "the output of a process comes line by line, and then its status",
        |cx| {
            Box::pin(async move {
                let line = Command::shell_line("echo one; echo two; exit 3");
                let process = cx.host().dom0().start(&line).await?;
                let mut lines = Vec::new();
                while let Some(line) = process.next_line().await {
                    lines.push(line.text().to_owned());
                }
                same("its lines", lines, vec!["one".to_owned(), "two".to_owned()])?;
                same("its status", process.wait().await?, ExitStatus::Code(3))
            })
        },
    ),
    Check::quick("shell.many_at_once", "many commands at once each get their own answer", |cx| {
        Box::pin(async move {
            let dom0 = cx.host().dom0();
            let echo = |number: u32| {
                let dom0 = &dom0;
                async move {
                    let text = dom0.text(&Command::new("echo").arg(number.to_string())).await?;
                    same("the answer", text, number.to_string())
                }
            };
            let all: Result<Vec<()>, Problem> =
                futures::future::try_join_all((0..24).map(echo)).await;
            all.map(|_| ())
        })
    }),
    Check::quick(
        "shell.after_reset",
        "a shell works again after its connection was dropped",
        |cx| {
            Box::pin(async move {
                let dom0 = cx.host().dom0();
                dom0.execute(&Command::new("true")).await?;
                dom0.reset().await;
                same(
                    "the answer",
                    dom0.text(&Command::new("echo").arg("again")).await?.as_str(),
                    "again",
                )
            })
        },
    )
    // Commands of others would be lost with it.
    .alone(),
];
