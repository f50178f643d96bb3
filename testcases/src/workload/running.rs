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

    /// A sleep that leaves a file when it has slept.
    #[derive(Debug)]
    struct Nap {
        seconds: f64,
        file: String,
        code: u8,
    }

    #[async_trait]
    impl Workload for Nap {
        fn name(&self) -> &'static str {
            "nap"
        }

        fn programs(&self) -> &'static [&'static str] {
            &["sleep"]
        }

        async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
            let line = format!("sleep {}; touch {}; exit {}", self.seconds, self.file, self.code);
            let command = Command::shell_line(line);
            let said = super::super::batch::carry_out(shell, &command).await?;
            if !said.status.success() {
                return Err(TestError::product("the nap was disturbed"));
            }
            Ok(vec![Figure::new("slept", self.seconds, "s")])
        }
    }

    fn nap(folder: &std::path::Path, seconds: f64, code: u8) -> (Running, std::path::PathBuf) {
        let file = folder.join(format!("slept-{seconds}-{code}"));
        let workload = Nap { seconds, file: file.display().to_string(), code };
        (Running::start(Arc::new(workload), Arc::new(LocalShell::new())), file)
    }

    #[tokio::test]
    async fn several_run_at_once_and_give_their_figures() {
        let folder = tempfile::tempdir().unwrap();
        let began = std::time::Instant::now();
        let naps: Vec<_> = (0..4).map(|_| nap(folder.path(), 0.5, 0).0).collect();
        for mut nap in naps {
            nap.healthy().await.unwrap();
            assert_eq!(nap.results().await.unwrap(), [Figure::new("slept", 0.5, "s")]);
        }
        assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn one_that_fails_is_not_healthy_and_one_that_is_stopped_does_not_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (failing, _) = nap(folder.path(), 0.0, 3);
        let error = failing.results().await.unwrap_err();
        assert!(error.to_string().contains("nap: the nap was disturbed"), "{error}");
        let (stopped, file) = nap(folder.path(), 1.0, 0);
        let (dropped, other) = nap(folder.path(), 1.1, 0);
        assert!(stopped.is_running());
        stopped.stop().await.unwrap();
        drop(dropped);
        // The time in which they would have ended is what proves that they did not go on.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!file.exists() && !other.exists());
    }
}
