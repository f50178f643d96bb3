//! A system that cloud-init sets up as its answer files say: Debian with its own kernel, and a second disk with
//! the files on it.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use xenrt::local_libvirt::LocalLibvirtProvider;
use xenrt::prelude::{Wait, wait_until};
use xenrt_core::lab::{HostDemand, LabProvider as _};
use xenrt_core::model::{Boot, DiskSpec, GuestSpec, Memory, VifSpec};
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_testcases::answers::{Addressing, Answers};
use xenrt_testcases::systems::{Catalogue, Install};

fn run(program: &mut Program) {
    let output = program.output().unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {errors}");
}

/// A disk with Debian and cloud-init on it and nothing set up, its kernel, and its initial ramdisk. What sets
/// up networks is netplan, as in Debian's images for clouds.
fn make_system(folder: &Path) {
    let packages = "cloud-init,console-setup,linux-image-cloud-amd64,locales,netplan.io,openssh-server,\
                    perl,sudo,systemd-resolved,systemd-sysv,tzdata,udev";
    let hook = "mv \"$1\"/boot/vmlinuz-* \"$1\"/../vmlinuz; mv \"$1\"/boot/initrd.img-* \"$1\"/../initrd; \
                rm -f \"$1\"/etc/ssh/ssh_host_*; : >\"$1\"/etc/machine-id; rm -f \"$1\"/etc/hostname; \
                printf 'datasource_list: [ NoCloud, None ]\\n' \
                >\"$1\"/etc/cloud/cloud.cfg.d/90-datasource.cfg";
    let mut make = Program::new("mmdebstrap");
    make.args(["--variant=minbase", "--quiet", "--format=directory", "--include", packages]);
    make.args(["--aptopt=Apt::Install-Recommends \"false\"", "--customize-hook", hook]);
    make.arg("bookworm").arg(folder.join("root"));
    // It ends with this program.
    make.process_group(0);
    run(&mut make);
    let disk = folder.join("system.img");
    run(Program::new("truncate").args(["-s", "2G"]).arg(&disk));
    let mut fill = Program::new("mkfs.ext4");
    run(fill.args(["-q", "-L", "system", "-d"]).arg(folder.join("root")).arg(&disk));
}

/// A disk with the files, labelled as cloud-init looks for it (its data source `NoCloud`).
fn make_seed(folder: &Path, answers: &Answers) {
    let systems = Catalogue::built_in().unwrap();
    let system = systems.find("debian12").unwrap();
    let seed = folder.join("seed.img");
    run(Program::new("mkfs.vfat").args(["-n", "CIDATA", "-C"]).arg(&seed).arg("8192"));
    for file in answers.files(system, Install::CloudInit).unwrap() {
        let path = folder.join(file.name);
        std::fs::write(&path, file.text).unwrap();
        let place = format!("::{}", file.name);
        run(Program::new("mcopy").arg("-i").arg(&seed).arg(path).arg(place));
    }
}

/// Some minutes where QEMU emulates.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "in `cargo xtask test nightly`"]
async fn cloud_init_does_what_its_files_say() {
    let lab = LocalLibvirtProvider::new();
    let demand = HostDemand { name: "0".to_owned(), ..HostDemand::default() };
    let host = lab.acquire(&[demand], &|_| {}).await.unwrap().remove(0);
    let network = host.entry().guest_network.clone().unwrap();
    let (gateway, pool) = (network.dom0_address.unwrap(), network.pool.unwrap());
    let address: Ipv4Addr = pool.first;
    let key = host.entry().key.clone().unwrap();
    let key = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let answers = Answers::new("web1", "it's a \"secret\": $HOME")
        .user("tester")
        .ssh_key(key.trim())
        .timezone("Europe/Prague")
        .addressing(Addressing::Fixed { address, prefix: pool.prefix, gateway, nameserver: None });
    // QEMU may be another user, who has to get through to its files.
    let folder = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), mode).unwrap();
    make_system(folder.path());
    make_seed(folder.path(), &answers);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let boot = Boot::Kernel {
        kernel: file("vmlinuz"),
        ramdisk: Some(file("initrd")),
        command_line: "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off \
                       random.trust_cpu=on"
            .to_owned(),
    };
    let spec = GuestSpec::new("web1")
        .image("tiny")
        .boot(boot)
        .memory(Memory::mib(768))
        .address(IpAddr::V4(address))
        .disk(DiskSpec::copy_of(file("system.img")))
        .disk(DiskSpec::copy_of(file("seed.img")))
        .vif(VifSpec::on_default());
    let guest = host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    let shell = guest.shell_at(IpAddr::V4(address)).unwrap();
    let up = wait_until("a login into web1", || async {
        let boot = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
        let there = shell.succeeds(&boot.deadline(Duration::from_secs(30))).await?;
        Ok(Wait::on(there, "no login yet"))
    })
    .within(Duration::from_secs(900))
    .await;
    if let Err(error) = up {
        panic!("{error}:\n{}", guest.console_text().await.unwrap());
    }
    let wait = Command::new("cloud-init").args(["status", "--wait", "--long"]);
    let status = shell.execute(&wait.deadline(Duration::from_secs(900))).await.unwrap().text();
    eprintln!("{status}");
    let log = shell.text(&Command::new("cat").arg("/var/log/cloud-init.log")).await.unwrap();
    assert!(status.contains("status: done"), "{status}\n{log}");
    // Words that newer releases would like better are for those before 22.2 (answers::cloud_init).
    let complains = |line: &&str| {
        (line.contains("[WARNING]") || line.contains("[ERROR]"))
            && !line.to_lowercase().contains("deprecat")
    };
    let complaints: Vec<&str> = log.lines().filter(complains).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let said = async |line: &str| shell.text(&Command::shell_line(line)).await.unwrap();
    assert_eq!(said("hostname").await.trim(), "web1");
    assert_eq!(said("readlink /etc/localtime").await.trim(), "/usr/share/zoneinfo/Europe/Prague");
    assert_eq!(said("sudo -n -u tester sudo -n id -u").await.trim(), "0");
    assert!(said("locale -a").await.contains("en_US.utf8"));
    let lease = said("ip -o -4 addr show dev eth0").await;
    assert!(lease.contains(&format!("{address}/{}", pool.prefix)), "{lease}");
    // The hash of what was given is that of both users.
    let hashes = said("getent shadow root tester | cut -d: -f2 | sort -u").await;
    assert_eq!(hashes.lines().count(), 1, "{hashes}");
    assert!(hashes.starts_with("$6$"), "{hashes}");
    guest.ensure_deleted().await.unwrap();
    lab.release().await.unwrap();
}
