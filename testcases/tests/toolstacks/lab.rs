//! A lab of one host of the double of xapi, and a run of `hfx745.seq` on a lab.

use std::path::Path;
use std::sync::{Arc, Mutex};

use xenrt::lab::{LabFile, LabFileProvider, LabProvider};
use xenrt::report::Reporter;
use xenrt::sequencer::{CancelHandle, Event, EventKind, Plan, RunOptions, RunReport, run};
use xenrt::testcase::Registry;
use xenrt_testkit::Sshd;
use xenrt_xapi::double::{Double, DryGuests, HOST_VARIABLE, PROGRAMS, STATE_VARIABLE, World};

/// What the double calls its host.
const HOST: &str = "xapi-sim";

/// A dom0 behind a real sshd, whose programs are the double.
pub(crate) struct XapiLab {
    pub(crate) double: Double,
    sshd: Sshd,
    _folder: tempfile::TempDir,
}

impl XapiLab {
    pub(crate) fn start(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for program in PROGRAMS {
            let own = std::env::current_exe().unwrap();
            std::os::unix::fs::symlink(own, bin.join(program)).unwrap();
        }
        let double = Double::create(folder.path().join("world"), world).unwrap();
        let sshd = Sshd::start_with(&format!(
            "SetEnv HOME={} PATH={}:/usr/bin:/bin {STATE_VARIABLE}={} {HOST_VARIABLE}={HOST}",
            folder.path().display(),
            bin.display(),
            double.path().display(),
        ));
        Self { double, sshd, _folder: folder }
    }

    pub(crate) fn provider(&self) -> Arc<dyn LabProvider> {
        let target = self.sshd.target();
        let text = format!(
            "[[host]]\nname = \"x1\"\naddress = \"127.0.0.1\"\nport = {}\nuser = {:?}\nkey = {:?}\n\
             known_hosts = {:?}\ntoolstack = \"xapi\"\n\
             [host.guest_network]\nnetwork = \"xenbr0\"\n\
             [[host.images]]\nname = \"bare\"\naliases = [\"generic-linux\"]\nkinds = [\"hvm\"]\n\
             memory_mib = 512\n",
            target.port,
            target.user,
            self.sshd.path("user_key"),
            self.sshd.path("known_hosts"),
        );
        let lab = LabFile::parse(&text, "lab.toml").unwrap();
        let toolstack = DryGuests::new(self.double.clone()).toolstack(HOST);
        Arc::new(LabFileProvider::new(lab, "lab.toml", vec![Arc::new(toolstack)]))
    }
}

/// What a run measured.
#[derive(Clone, Default)]
pub(crate) struct Values(Arc<Mutex<Vec<(String, f64)>>>);

impl Values {
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        let values = self.0.lock().unwrap();
        values.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }
}

impl Reporter for Values {
    fn name(&self) -> String {
        "values".to_owned()
    }

    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        if let EventKind::Value { name, value, .. } = &event.what {
            self.0.lock().unwrap().push((name.clone(), *value));
        }
        Ok(())
    }
}

/// Runs the sequence file as it is.
pub(crate) async fn hfx745(lab: Arc<dyn LabProvider>, folder: &Path, values: Values) -> RunReport {
    let text = include_str!("../../sequences/hfx745.seq");
    let sequence = xenrt::sequence::parse(text, "hfx745.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let options = RunOptions::new(folder).provider(lab).reporter(values);
    run(plan, options, CancelHandle::new()).await
}
