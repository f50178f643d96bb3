//! Calls of `xe`: the xapi toolstack against a client that asks for one parameter a call, both on
//! the same double, through ssh.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;
use xenrt_core::lab::LabFile;
use xenrt_core::model::{GuestSpec, Host, Toolstack as _, VifSpec};
use xenrt_core::remote::{Command, Shell, ShellExt as _, SshShell};
use xenrt_xapi::XapiToolstack;
use xenrt_xapi::double::{Double, STATE_VARIABLE, World};

use super::shell::Sshd;
use super::{Error, Row, median};

/// What a guest of the measurement is made from.
const TEMPLATE: &str = "Other install media";
/// What it is connected to: a bridge.
const NETWORK: &str = "xenbr0";

/// Measures: create a guest, start it, wait for its address, check it. Each round has a new world.
pub(super) fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("bin"))?;
    // This very program is the double when it is called so.
    std::os::unix::fs::symlink(std::env::current_exe()?, folder.path().join("bin/xe"))?;
    let double = Double::create(folder.path().join("world"), &World::small())?;
    let environment = format!(
        "PATH={}:/usr/bin:/bin {STATE_VARIABLE}={}",
        folder.path().join("bin").display(),
        double.path().display()
    );
    let sshd = Sshd::start_with(&environment)?;
    runtime.block_on(async {
        let host = connect(&sshd).await?;
        let shell: Arc<dyn Shell> = Arc::new(SshShell::new(sshd.target()));
        shell.run(&Command::new("true")).await?;
        let mut figures: [Vec<(f64, f64)>; 2] = Default::default();
        for round in 0..rounds {
            for side in [round % 2, (round + 1) % 2] {
                double.change(|world| *world = World::small())?;
                double.forget_calls()?;
                let started = Instant::now();
                match side {
                    0 => ours(host.as_ref(), round).await?,
                    _ => one_by_one(shell.as_ref(), round).await?,
                }
                let seconds = started.elapsed().as_secs_f64();
                figures[side].push((double.calls()?.len() as f64, seconds));
            }
        }
        let column = |side: &[(f64, f64)], pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
            side.iter().map(pick).collect()
        };
        let row = |name: &str, unit: &str, pick: fn(&(f64, f64)) -> f64| {
            let (own, peer) = (column(&figures[0], pick), column(&figures[1], pick));
            let ratios = own.iter().zip(&peer).map(|(own, peer)| peer / own).collect();
            Row {
                name: name.to_owned(),
                unit: unit.to_owned(),
                ours: median(own),
                peer: "one parameter a call".to_owned(),
                peer_value: Some(median(peer)),
                ratio: Some(median(ratios)),
                note: "fewer is better; the target is 3".to_owned(),
            }
        };
        Ok(vec![
            parsing()?,
            row("xe-calls", "calls a guest", |(calls, _)| *calls),
            row("xe-calls (time)", "ms a guest", |(_, seconds)| seconds * 1000.0),
        ])
    })
}

/// Reading a list of 20,000 VMs, one record at a time.
fn parsing() -> Result<Row, Error> {
    const VMS: usize = 20_000;
    let record = |number: usize| {
        format!(
            "uuid ( RO)           : {}\n     name-label ( RW): guest {number}\n    power-state ( RO): \
             running\n       networks (MRO): 0/ip: 192.0.2.1; 0/ipv4/0: 192.0.2.1\n\n\n",
            Uuid::from_u128(number as u128)
        )
    };
    let text: String = (0..VMS).map(record).collect();
    let mut rates = Vec::new();
    for _ in 0..25 {
        let started = Instant::now();
        let mut fields = 0;
        for record in xenrt_xapi::parse::records(&text) {
            fields += record?.fields.len();
        }
        if fields != VMS * 4 {
            return Err(format!("{fields} fields were read").into());
        }
        rates.push(text.len() as f64 / 1e6 / started.elapsed().as_secs_f64());
    }
    Ok(Row {
        name: "xe-parse".to_owned(),
        unit: "MB/s".to_owned(),
        ours: median(rates),
        peer: "none".to_owned(),
        peer_value: None,
        ratio: None,
        note: "a list of 20,000 VMs; the target is 50".to_owned(),
    })
}

async fn connect(sshd: &Sshd) -> Result<Arc<dyn Host>, Error> {
    let target = sshd.target();
    let key = |path: Option<&Path>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let text = format!(
        "[[host]]\nname = \"xapi-sim\"\naddress = \"127.0.0.1\"\nport = {}\nuser = {:?}\nkey = {:?}\n\
         known_hosts = {:?}\ntoolstack = \"xapi\"\n[host.guest_network]\nnetwork = {NETWORK:?}\n\
         [[host.images]]\nname = \"bare\"\nkinds = [\"hvm\"]\nmemory_mib = 256\n",
        target.port,
        target.user,
        key(target.key.as_deref()),
        key(Some(&sshd.path("known_hosts"))),
    );
    let lab = LabFile::parse(&text, "bench")?;
    let entry = lab.hosts.first().ok_or("the lab of the bench has no host")?;
    Ok(XapiToolstack::new().connect(entry).await?)
}

async fn ours(host: &dyn Host, round: usize) -> Result<(), Error> {
    let spec =
        GuestSpec::new(format!("ours-{round}")).image("bare").vcpus(2).vif(VifSpec::on_default());
    let guest = host.define_guest(&spec).await?;
    guest.start().await?;
    guest.wait_for_address().await?;
    guest.check().await?;
    Ok(())
}

/// The same, with one ssh command a call and one call a parameter.
async fn one_by_one(shell: &dyn Shell, round: usize) -> Result<(), Error> {
    let xe = async |words: &[&str]| -> Result<String, Error> {
        Ok(shell.text(&Command::new("xe").args(words.iter().copied())).await?)
    };
    let name = format!("new-name-label=peer-{round}");
    let vm = xe(&["vm-install", &format!("template={TEMPLATE}"), &name]).await?;
    vm.parse::<Uuid>()?;
    let own = format!("uuid={vm}");
    let set = async |field: &str| xe(&["vm-param-set", &own, field]).await;
    let get = async |class: &str, uuid: &str, field: &str| {
        xe(&[
            &format!("{class}-param-get"),
            &format!("uuid={uuid}"),
            &format!("param-name={field}"),
        ])
        .await
    };
    for field in ["VCPUs-max=2", "VCPUs-at-startup=2", "actions-after-crash=preserve"] {
        set(field).await?;
    }
    let network = xe(&["network-list", &format!("bridge={NETWORK}"), "--minimal"]).await?;
    let vif = format!("network-uuid={network}");
    xe(&["vif-create", &format!("vm-uuid={vm}"), &vif, "device=0", "mac=00:16:3e:00:00:01"])
        .await?;
    if get("vm", &vm, "power-state").await? != "halted" {
        return Err("the peer's guest is not halted".into());
    }
    xe(&["vm-start", &own]).await?;
    while get("vm", &vm, "power-state").await? != "running" {}
    while get("vm", &vm, "networks").await?.is_empty() {}
    for field in [
        "name-label",
        "power-state",
        "VCPUs-number",
        "VCPUs-max",
        "VCPUs-at-startup",
        "memory-static-max",
        "memory-dynamic-max",
        "memory-dynamic-min",
        "memory-actual",
        "dom-id",
        "resident-on",
    ] {
        get("vm", &vm, field).await?;
    }
    for class in ["vbd", "vif"] {
        let listed = xe(&[&format!("{class}-list"), &format!("vm-uuid={vm}"), "--minimal"]).await?;
        let fields: &[&str] = match class {
            "vbd" => &["userdevice", "type", "mode", "vdi-uuid"],
            _ => &["device", "MAC", "network-uuid", "currently-attached"],
        };
        for uuid in listed.split(',').filter(|uuid| !uuid.is_empty()) {
            for field in fields {
                get(class, uuid, field).await?;
            }
        }
    }
    Ok(())
}
