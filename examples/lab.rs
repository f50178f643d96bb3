//! The virtual lab by hand: real Xen hosts to play with.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use xenrt_lab::setup;
use xenrt_lab::{
    GuestKind, HostRequest, LabOptions, Preparation, Progress, VirtualHost, VirtualLab,
};

/// Boots real Xen hosts in QEMU, lists them, logs into them and ends them.
#[derive(Parser)]
struct Args {
    /// Keep images, snapshots and running hosts in this folder instead of the usual cache
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a group of linked hosts and leave it running
    Up {
        /// How many hosts
        #[arg(long, default_value_t = 1)]
        count: usize,
        /// With a tiny guest that is up already
        #[arg(long)]
        with_guest: bool,
    },
    /// List the groups of hosts that run
    Status,
    /// Log into dom0 of a host of the newest group, or run a command there
    Ssh {
        /// The number of the host in its group, from 1
        #[arg(default_value_t = 1)]
        host: u8,
        /// The group, where it is not the newest one
        #[arg(long)]
        group: Option<String>,
        /// The command; a login where it is left out
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// End a group of hosts, or all that were left running
    Down {
        /// The group; all detached ones where it is left out
        group: Option<String>,
    },
    /// Build the images and the snapshot, and boot nothing
    Build,
    /// Remove images and snapshots that are of no use any more
    Prune {
        /// Only those that are older than so many days
        #[arg(long, default_value_t = 0)]
        days: u64,
    },
}

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("lab: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                anstream::eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result {
    setup::install(&setup::lab(), &|line| anstream::eprintln!("{line}")).await?;
    let progress = Progress::new(|event| anstream::eprintln!("{event}"));
    let lab =
        VirtualLab::open(LabOptions { cache_dir: args.cache, progress, ..LabOptions::default() })
            .await?;
    match args.command {
        Command::Up { count, with_guest } => up(&lab, count, with_guest).await,
        Command::Status => {
            status(&lab);
            Ok(())
        }
        Command::Ssh { host, group, command } => ssh(&lab, host, group, &command).await,
        Command::Down { group } => down(&lab, group),
        Command::Build => {
            // A host from the snapshot proves that all of it works.
            lab.hosts(&HostRequest::new(1)).await?;
            Ok(())
        }
        Command::Prune { days } => {
            let removed = lab.prune(Duration::from_secs(days * 24 * 3600)).await?;
            anstream::println!("removed {removed}");
            Ok(())
        }
    }
}

async fn up(lab: &VirtualLab, count: usize, with_guest: bool) -> Result {
    let mut request = HostRequest::new(count).detached();
    if with_guest {
        request = request.prepared(Preparation::live_guest(GuestKind::Pv));
    }
    let hosts = lab.hosts(&request).await?;
    for host in &hosts {
        describe(host);
    }
    anstream::println!("log in:  cargo run --example lab -- ssh 1");
    anstream::println!("end it:  cargo run --example lab -- down");
    Ok(())
}

fn describe(host: &VirtualHost) {
    let ssh = host.ssh();
    anstream::println!(
        "{} of group {}: ssh on {} port {}, console {}",
        host.name(),
        host.group(),
        ssh.address,
        ssh.port,
        host.console_log().display()
    );
}

fn status(lab: &VirtualLab) {
    let running = lab.running();
    if running.is_empty() {
        anstream::println!("nothing runs");
    }
    for group in running {
        let kind = if group.detached { "left running" } else { "belongs to a program" };
        anstream::println!("group {} ({kind})", group.id);
        for (name, process) in &group.hosts {
            match process {
                Some(pid) => anstream::println!("  {name}: QEMU is process {pid}"),
                None => anstream::println!("  {name}: ended"),
            }
        }
    }
}

/// The group that was named, or the newest one that was left running.
fn find_group(lab: &VirtualLab, group: Option<String>) -> Result<String> {
    let newest =
        || lab.running().into_iter().filter(|group| group.detached).map(|g| g.id).next_back();
    group.or_else(newest).ok_or_else(|| "no hosts run; start some with `lab up`".into())
}

async fn ssh(lab: &VirtualLab, number: u8, group: Option<String>, command: &[String]) -> Result {
    let group = find_group(lab, group)?;
    let hosts = lab.attach(&group).await?;
    let host = hosts.iter().find(|host| host.number() == number);
    let host =
        host.ok_or_else(|| format!("group {group} has {} hosts, no {number}", hosts.len()))?;
    let mut ssh = std::process::Command::new("ssh");
    ssh.args(host.ssh().arguments()).args(command);
    // From here on this process *is* ssh: its terminal, its signals, its exit status.
    Err(ssh.exec().into())
}

fn down(lab: &VirtualLab, group: Option<String>) -> Result {
    let groups = match group {
        Some(group) => vec![group],
        None => lab.running().into_iter().filter(|group| group.detached).map(|g| g.id).collect(),
    };
    for group in groups {
        lab.down(&group)?;
        anstream::println!("ended {group}");
    }
    Ok(())
}
