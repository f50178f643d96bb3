//! A program as the source of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::guests::{DEVICE_MEMORY, Guests};
use super::model::Model;
use super::program::{Program, Verb};

impl Program {
    /// The program as a file of Rust with one test case, ready to compile in a crate that depends
    /// on `xenrt`. `seed` is what found it, `message` what was wrong, `image` what its guests are
    /// made from, and `guests` what they are.
    pub fn to_test_case(&self, seed: u64, message: &str, image: &str, guests: Guests) -> String {
        let mut text = String::from("use xenrt::prelude::*;\n\n");
        let told = message.lines().next().unwrap_or_default().replace("*/", "* /");
        let hosts = if self.steps.iter().any(|step| step.verb == Verb::Migrate) { 2 } else { 1 };
        let abilities: BTreeSet<_> =
            self.steps.iter().filter_map(|step| Some(step.verb.needs()?.name())).collect();
        let mut needs: Vec<String> = abilities.into_iter().map(str::to_owned).collect();
        if hosts > 1 {
            needs.insert(0, format!("hosts = {hosts}"));
        }
        let requires = match needs.as_slice() {
            [] => String::new(),
            needs => format!(", requires({})", needs.join(", ")),
        };
        let steps = self.statements(image, guests, hosts);
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "/// Found by an exploration with seed {seed}: {told}\n\
             #[testcase(id = \"explored.seed_{seed}\", timeout = \"1h\"{requires})]\n\
             struct Explored{seed};\n\n\
             #[async_trait]\n\
             impl TestCase for Explored{seed} {{\n    \
                 async fn prepare(_: &TestContext) -> Result<Self> {{\n        \
                     Ok(Self)\n    \
                 }}\n\n    \
                 async fn run(&mut self, cx: &TestContext) -> Result {{\n\
             {steps}        \
                     Ok(())\n    \
                 }}\n\
             }}\n"
        );
        text
    }

    fn statements(&self, image: &str, guests: Guests, hosts: usize) -> String {
        let mut lines: Vec<String> = match hosts {
            1 => vec!["let hosts = [cx.default_host()?];".to_owned()],
            _ => vec!["let hosts = [cx.host(\"0\")?, cx.host(\"1\")?];".to_owned()],
        };
        let mut model = Model::new(hosts);
        let mut devices: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        let mut count = 0;
        for step in &self.steps {
            if !model.allows(step) {
                continue;
            }
            let g = format!("g{}", step.guest);
            let (disks, vifs) = devices.entry(step.guest).or_default();
            let guest = model.guest(step.guest).copied();
            count += 1;
            match step.verb {
                Verb::Create => {
                    lines.extend(guests.statements(&format!("xrte-{}", step.guest), image));
                    lines.push(format!("let {g} = hosts[0].create_guest(&spec).await?;"));
                }
                Verb::Start => lines.extend([
                    format!("{g}.start().await?;"),
                    format!("{g}.wait_until_reachable().await?;"),
                ]),
                Verb::StartPaused => lines.push(format!("{g}.start_paused().await?;")),
                Verb::Shutdown => lines.push(format!("{g}.shutdown(ShutdownMode::Clean).await?;")),
                Verb::PowerOff => lines.push(format!("{g}.shutdown(ShutdownMode::Hard).await?;")),
                Verb::Reboot => lines.push(format!("{g}.reboot(ShutdownMode::Clean).await?;")),
                Verb::Reset => lines.push(format!("{g}.reboot(ShutdownMode::Hard).await?;")),
                Verb::Pause => lines.push(format!("{g}.pause().await?;")),
                Verb::Unpause => lines.push(format!("{g}.unpause().await?;")),
                Verb::Suspend => lines.push(format!("{g}.suspend().await?;")),
                Verb::Resume => lines.push(format!("{g}.resume().await?;")),
                Verb::SetVcpus(vcpus) => lines.push(format!("{g}.set_vcpus({vcpus}).await?;")),
                Verb::SetMemory(more) => lines.extend([
                    format!("let memory = hosts[0].entry().image_for({image:?})?.memory.as_mib();"),
                    format!(
                        "{g}.set_memory(Memory::mib(memory + {})).await?;",
                        DEVICE_MEMORY + more
                    ),
                ]),
                Verb::AttachDisk => {
                    disks.push(count);
                    lines.push(format!(
                        "let disk{count} = {g}.attach_disk(DiskSpec::new(Memory::mib(8))).await?;"
                    ));
                }
                Verb::DetachDisk => {
                    if let Some(disk) = disks.pop() {
                        lines.push(format!("{g}.detach_disk(&disk{disk}.device).await?;"));
                    }
                }
                Verb::AttachVif => {
                    vifs.push(count);
                    lines.push(format!(
                        "let vif{count} = {g}.attach_vif(VifSpec::on_default()).await?;"
                    ));
                }
                Verb::DetachVif => {
                    if let Some(vif) = vifs.pop() {
                        lines.push(format!("{g}.detach_vif(vif{vif}.mac).await?;"));
                    }
                }
                Verb::Rename => {
                    let renames = guest.map_or(0, |guest| guest.renames) + 1;
                    lines.push(format!("{g}.rename(\"xrte-{}-{renames}\").await?;", step.guest));
                }
                Verb::Migrate => {
                    let to = (guest.map_or(0, |guest| guest.host) + 1) % hosts;
                    lines.push(format!("{g}.migrate(&hosts[{to}]).await?;"));
                }
                Verb::Delete => lines.push(format!("{g}.delete().await?;")),
                Verb::CutConnection => lines
                    .push("// Here the connection to the host was lost and came back.".to_owned()),
            }
            model.apply(step);
            if step.verb != Verb::Delete && step.verb != Verb::CutConnection {
                lines.push(format!("{g}.check().await?;"));
            }
        }
        // A device that nothing is done with any more needs no name.
        for (disks, vifs) in devices.values() {
            let unused = disks
                .iter()
                .map(|n| format!("disk{n}"))
                .chain(vifs.iter().map(|n| format!("vif{n}")));
            for name in unused {
                for line in &mut lines {
                    *line = line.replace(&format!("let {name} = "), "");
                }
            }
        }
        lines.iter().map(|line| format!("        {line}\n")).collect()
    }
}
