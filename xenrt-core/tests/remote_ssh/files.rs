//! Files there and back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use xenrt_core::remote::{RemoteError, Shell, ShellExt};

use xenrt_testkit::{Sshd, until_async};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Ten million bytes of all values, in no order that a line-based tool would survive.
fn content() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(10_000_000).collect()
}

#[tokio::test]
async fn a_file_goes_there_and_comes_back() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let content = content();
    let there = sshd.path("it's $a file");
    let name = there.to_str().unwrap();
    shell.write_file(name, &content, 0o750).await.unwrap();
    assert_eq!(mode(&there), 0o750);
    assert!(shell.read_file(name).await.unwrap() == content);

    let back = sshd.path("back");
    shell.download(name, &back).await.unwrap();
    assert!(std::fs::read(&back).unwrap() == content);
    let again = sshd.path("again");
    shell.upload(&back, again.to_str().unwrap(), 0o400).await.unwrap();
    assert_eq!(mode(&again), 0o400);
    assert!(std::fs::read(&again).unwrap() == content);
    // Replacing works whatever the old one was, and an empty file is a file.
    shell.write_file(again.to_str().unwrap(), b"", 0o644).await.unwrap();
    assert_eq!((std::fs::read(&again).unwrap().len(), mode(&again)), (0, 0o644));
    assert!(shell.exists(name).await.unwrap());
    assert!(!shell.exists("/no/such/file").await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_copied_is_named() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let error = shell.write_file("/no/such/folder/file", b"x", 0o600).await.unwrap_err();
    assert!(matches!(error, RemoteError::Copy { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/folder/file"), "{error}");
    let error = shell.read_file("/no/such/file").await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    let folder = sshd.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let error = shell.write_file(folder.to_str().unwrap(), b"x", 0o600).await.unwrap_err();
    assert!(error.to_string().contains("it is a folder"), "{error}");
    let error = shell.upload(Path::new("/no/such"), "/tmp/x", 0o600).await.unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
    let error = shell.download("/no/such/file", &sshd.path("new")).await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    assert!(!sshd.path("new").exists());
}

#[tokio::test]
async fn half_a_file_never_takes_the_place_of_a_whole_one() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let folder = sshd.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("file");
    std::fs::write(&file, "old").unwrap();
    let content = vec![7; 200_000_000];
    let cut = async {
        until_async("the copy to begin", || std::fs::read_dir(&folder).unwrap().count() == 2).await;
        sshd.cut_connections();
    };
    let (result, ()) = tokio::join!(shell.write_file(file.to_str().unwrap(), &content, 0o600), cut);
    let error = result.unwrap_err();
    assert!(matches!(error, RemoteError::Disconnected { .. }), "{error}");
    until_async("the half file to go", || std::fs::read_dir(&folder).unwrap().count() == 1).await;
    assert_eq!(std::fs::read(&file).unwrap(), b"old");
}
