//! What `hfx745` says to input that it cannot use: the place, the remedy, the exit code; and that it
//! leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use xenrt_testkit::{Sshd, make_key, user};

/// The program `hfx745`, which cargo builds beside its tests; built here where only the tests were.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/hfx745");
    if !program.exists() {
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "xenrt-examples", "--example", "hfx745"])
            .status()
            .unwrap();
        assert!(build.success());
    }
    program
}

/// A folder for a run, with what the program said and how it ended.
struct Run {
    folder: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program; its exit code, and all that it said.
    fn hfx745(&self, arguments: &[&str]) -> (i32, String) {
        self.with(arguments, |_| {})
    }

    fn with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> (i32, String) {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        change(&mut command);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
        (output.status.code().unwrap(), said.concat())
    }

    /// With this sequence file.
    fn sequence(&self, text: &str) -> (i32, String) {
        self.file("bad.seq", text);
        let result = self.hfx745(&["--sequence", "bad.seq", "--no-install"]);
        assert!(!self.folder.path().join("runs").exists(), "a run was begun");
        result
    }

    /// With a lab of one host, of which these lines tell.
    fn host(&self, lines: &str) -> (i32, String) {
        let lab = format!("[[host]]\nname = \"a\"\ntoolstack = \"xl\"\n{lines}");
        self.file("lab.toml", &lab);
        let result = self.hfx745(&["--lab", "lab.toml", "--out", "out"]);
        // The journal tells of it, and there is nothing else: no test ever began.
        let journal =
            std::fs::read_to_string(self.folder.path().join("out/journal.jsonl")).unwrap();
        assert!(!journal.contains("test_started") && journal.contains("run_finished"));
        result
    }
}

#[track_caller]
fn says(result: &(i32, String), exit_code: i32, parts: &[&str]) {
    let (code, said) = result;
    assert_eq!(*code, exit_code, "{said}");
    // Lines are broken to the width of a terminal.
    let plain: String = said.replace('│', " ");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(plain.contains(part), "it does not say {part:?}:\n{said}");
    }
}

#[test]
fn sequences_that_are_none() {
    let run = Run::new();
    let malformed = run.sequence("<xenrt>\n  <prepare>\n</xenrt>");
    says(&malformed, 2, &["bad.seq:2:3", "</xenrt> closes <prepare>", "expected </prepare>"]);
    let element = run.sequence("<xenrt>\n  <testsequense/>\n</xenrt>");
    says(&element, 2, &["bad.seq:2:3", "unknown element <testsequense>", "<testsequence>?"]);
    let attribute = run
        .sequence("<xenrt><testsequence>\n<testcase id=\"a\" nmae=\"b\"/></testsequence></xenrt>");
    says(&attribute, 2, &["bad.seq:2:18", "unknown attribute `nmae`", "did you mean `name`?"]);
    let unknown = run.sequence(
        "<xenrt><prepare><host/></prepare><testsequence>\n<testcase id=\"network.hfx754\"/>\
         </testsequence></xenrt>",
    );
    says(&unknown, 2, &["bad.seq:2:15", "network.hfx754", "network.hfx745"]);
    let missing = run.hfx745(&["--sequence", "nowhere.seq"]);
    says(&missing, 2, &["nowhere.seq", "No such file"]);
    let argument = run.hfx745(&["--sequense", "x"]);
    says(&argument, 2, &["--sequense", "--sequence"]);
}

#[test]
fn lab_files_that_are_none() {
    let run = Run::new();
    let missing = run.hfx745(&["--lab", "nowhere.toml"]);
    says(&missing, 2, &["cannot read the lab file nowhere.toml", "write one"]);
    run.file("lab.toml", "[[host]]\nname = \"a\"\naddress = \"b\"\ntoolstack = \"xl\"\nprot = 1\n");
    says(&run.hfx745(&["--lab", "lab.toml"]), 2, &["line 5", "prot", "port"]);
    run.file("lab.toml", "[[host]]\nname = \"a\"\naddress = \"b\"\ntoolstack = \"xm\"\n");
    says(&run.hfx745(&["--lab", "lab.toml"]), 4, &["toolstack", "\"xm\"", "xl"]);
}

#[test]
fn hosts_that_cannot_be_used() {
    let run = Run::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = run.host(&format!("address = \"127.0.0.1\"\nport = {nobody}\n"));
    says(&refused, 4, &["127.0.0.1", "nothing listens there"]);

    let mut sshd = Sshd::start();
    let wrong = sshd.path("wrong");
    make_key(&wrong);
    let entry = |key: &Path| {
        format!(
            "address = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nkey = {key:?}\nknown_hosts = {:?}\n",
            sshd.port,
            user(),
            sshd.path("known_hosts"),
        )
    };
    let (wrong, right) = (entry(&wrong), entry(&sshd.path("user_key")));
    says(&run.host(&wrong), 4, &["Permission denied (publickey"]);
    // This machine answers, and runs no Xen.
    says(&run.host(&right), 4, &["xl"]);
    sshd.make_new_host_key();
    says(&run.host(&right), 4, &["another key", "known_hosts"]);
    assert_eq!(sshd.connections(), 0, "connections were left");
}

#[test]
fn a_machine_that_lacks_qemu() {
    let run = Run::new();
    // All programs of this machine but QEMU. (The system's folders are searched for it as well.)
    let programs = run.folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    for program in std::fs::read_dir("/usr/bin").unwrap() {
        let program = program.unwrap();
        if !program.file_name().to_string_lossy().starts_with("qemu-") {
            std::os::unix::fs::symlink(program.path(), programs.join(program.file_name())).unwrap();
        }
    }
    let result = run.with(&["--no-install", "--out", "out"], |command| {
        command.env("PATH", &programs).env("XENRT_LAB_DIR", run.folder.path().join("cache"));
    });
    says(&result, 4, &["missing programs: qemu-system-x86_64;", "cargo xtask setup"]);
}

#[test]
fn a_disk_without_room_for_the_images() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can make the small disk that this needs");
        return;
    }
    let run = Run::new();
    let small = SmallDisk::new(run.folder.path().join("small"));
    let cache = small.0.display().to_string();
    let result = run.hfx745(&["--cache", &cache, "--out", "out"]);
    says(&result, 4, &["MiB free", "are needed", "XENRT_LAB_DIR"]);
    let left: Vec<_> = walk(&small.0).into_iter().filter(|path| path.is_file()).collect();
    let bytes: u64 = left.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes < 64 * 1024, "{left:?}");
}

/// A disk of 16 MiB in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: PathBuf) -> Self {
        std::fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&at);
        assert!(mount.status().unwrap().success());
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
