//! Brings up virtual Xen hosts that stay, says how to log in, and ends them.
//!
//! ```text
//! cargo run -p xenrt-lab --example lab -- up 2      two linked hosts
//! cargo run -p xenrt-lab --example lab -- live      one host with a live guest
//! cargo run -p xenrt-lab --example lab -- status
//! cargo run -p xenrt-lab --example lab -- down      all that run
//! ```

use xenrt_lab::{GuestKind, HostRequest, LabOptions, Preparation, Progress, VirtualLab};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let progress = Progress::new(|event| eprintln!("{event}"));
    let lab = VirtualLab::open(LabOptions { progress, ..LabOptions::default() }).await?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let request = match words[..] {
        ["up"] => HostRequest::new(1),
        ["up", count] => HostRequest::new(count.parse()?),
        ["live"] => HostRequest::new(1).prepared(Preparation::live_guest(GuestKind::Pvh)),
        ["status"] => {
            for running in lab.running() {
                println!("{running:?}");
            }
            return Ok(());
        }
        ["down"] => {
            for running in lab.running() {
                lab.down(&running.id)?;
            }
            return Ok(());
        }
        _ => return Err("up [COUNT], live, status or down".into()),
    };
    for host in lab.hosts(&request.detached()).await? {
        println!("{}: ssh {}", host.name(), host.ssh().arguments().join(" "));
    }
    Ok(())
}
