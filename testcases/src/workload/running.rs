//! A workload that runs while a test does something else.

use tokio::task::JoinHandle;
use xenrt::prelude::*;

use super::{Figure, Workload};

/// A workload that was started. Several can run at once, on one guest and on many.
///
/// Dropping it tells its program to stop, as [`stop`](Self::stop) does.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    /// Nothing once its end was seen.
    task: Option<JoinHandle<Result<Vec<Figure>>>>,
    end: Option<Vec<Figure>>,
}

impl Running {
    /// Starts a workload, which must be [installed](Workload::install), and returns at once.
    pub fn start(workload: Arc<dyn Workload>, shell: Arc<dyn Shell>) -> Self {
        let name = workload.name();
        let task = tokio::spawn(async move { workload.run(shell.as_ref()).await });
        Self { name, task: Some(task), end: None }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Nothing as long as it runs, and where it has ended well.
    ///
    /// # Errors
    /// What it found wrong, or why it could not go on.
    pub async fn healthy(&mut self) -> Result {
        if self.is_running() {
            return Ok(());
        }
        self.join().await
    }

    /// Waits for its end, and returns its figures.
    ///
    /// # Errors
    /// As [`Workload::run`].
    pub async fn results(mut self) -> Result<Vec<Figure>> {
        self.join().await?;
        Ok(self.end.take().unwrap_or_default())
    }

    /// Stops it before its end; its program is told to end. It has no figures then.
    ///
    /// # Errors
    /// What it found wrong until then.
    pub async fn stop(mut self) -> Result {
        if !self.is_running() {
            return self.join().await;
        }
        if let Some(task) = self.task.take() {
            task.abort();
            // The program is told to stop when the task has let go of it.
            return match task.await {
                Ok(result) => result.map(|_| ()).map_err(|error| error.context(self.name)),
                Err(error) if error.is_cancelled() => Ok(()),
                Err(error) => Err(TestError::test(format!("{}: {error}", self.name))),
            };
        }
        Ok(())
    }

    async fn join(&mut self) -> Result {
        if let Some(task) = self.task.take() {
            let ended =
                task.await.map_err(|error| TestError::test(format!("{}: {error}", self.name)))?;
            self.end = Some(ended.map_err(|error| error.context(self.name))?);
        }
        match self.end {
            Some(_) => Ok(()),
            // Its error was told already.
            None => Err(TestError::test(format!("the end of {} was asked for twice", self.name))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use xenrt::remote::LocalShell;

    use super::*;

    /// Some lines for a shell.
    #[derive(Debug)]
    struct Lines(String);

    #[async_trait]
    impl Workload for Lines {
        fn name(&self) -> &'static str {
            "nap"
        }

        fn programs(&self) -> &'static [&'static str] {
            &["sleep"]
        }

        async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
            let command = Command::shell_line(self.0.clone());
            let said = super::super::batch::carry_out(shell, &command).await?;
            if !said.status.success() {
                return Err(TestError::product("the nap was disturbed"));
            }
            Ok(vec![Figure::new("slept", 1.0, "")])
        }
    }

    fn start(line: String) -> Running {
        Running::start(Arc::new(Lines(line)), Arc::new(LocalShell::new()))
    }

    /// A sleep that leaves a file when it has slept.
    fn nap(folder: &std::path::Path, seconds: f64) -> (Running, std::path::PathBuf) {
        let file = folder.join(format!("slept-{seconds}"));
        (start(format!("sleep {seconds}; touch {}", file.display())), file)
    }

    #[tokio::test]
    async fn several_run_at_once_and_give_their_figures() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().display();
        // Each waits for all others, so that none ends unless all run at once.
        let together = |number: u32| {
            start(format!(
                "touch {folder}/{number}; for look in $(seq 600); do [ $(ls {folder} | wc -l) = 4 ] \
                 && exit 0; sleep 0.05; done; exit 1"
            ))
        };
        let naps: Vec<_> = (0..4).map(together).collect();
        for mut nap in naps {
            nap.healthy().await.unwrap();
            assert_eq!(nap.results().await.unwrap(), [Figure::new("slept", 1.0, "")]);
        }
    }

    #[tokio::test]
    async fn one_that_fails_is_not_healthy_and_one_that_is_stopped_does_not_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let failing = start("exit 3".to_owned());
        let error = failing.results().await.unwrap_err();
        assert!(error.to_string().contains("nap: the nap was disturbed"), "{error}");
        let (stopped, file) = nap(folder.path(), 2.0);
        let (dropped, other) = nap(folder.path(), 2.1);
        assert!(stopped.is_running());
        stopped.stop().await.unwrap();
        drop(dropped);
        // The time in which they would have ended is what proves that they did not go on.
        tokio::time::sleep(Duration::from_millis(2600)).await;
        assert!(!file.exists() && !other.exists());
    }
}
