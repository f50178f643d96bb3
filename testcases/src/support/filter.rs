//! Filters of nftables in dom0.

use xenrt::model::Undo;
use xenrt::prelude::*;

/// A table of nftables in dom0, which goes with the test.
pub(crate) struct Filter {
    dom0: Arc<dyn Shell>,
    /// Its family and name: `inet xenrt_cut`.
    table: String,
}

/// A command of nftables; its words are nft's own language (nft(8)).
fn nft(words: &str) -> Command {
    Command::new("nft").arg(words).deadline(Duration::from_secs(60))
}

impl Filter {
    /// Makes an empty one, which lets everything be, and skips the test where dom0 cannot.
    pub(crate) async fn make(cx: &TestContext, host: &dyn Host, table: &str) -> Result<Self> {
        let own = Self { dom0: host.dom0(), table: table.to_owned() };
        let add = format!("add table {table}");
        let made = own.dom0.execute(&nft(&add)).await?;
        if !made.status.success() {
            let said = made.error_text();
            let message = format!("dom0 has no nftables for a filter: {}", said.trim());
            return Err(TestError::skip(message));
        }
        let dom0 = host.dom0();
        // Hosts that are parts of one machine have one table, which may be gone.
        let remove = format!("{add}; delete table {table}");
        cx.on_cleanup(Undo::new(format!("remove the filter {table}"), move || async move {
            dom0.run(&nft(&remove)).await?;
            Ok(())
        }));
        Ok(own)
    }

    /// Puts in a chain and its rules, all at once: `{ type filter hook ...; }` and what stands behind the
    /// name of the chain.
    pub(crate) async fn chain(&self, name: &str, hook: &str, rules: &[String]) -> Result {
        let table = &self.table;
        let chain = std::iter::once(format!("add chain {table} {name} {hook}"));
        let rules = rules.iter().map(|rule| format!("add rule {table} {name} {rule}"));
        let all: Vec<String> = chain.chain(rules).collect();
        self.dom0.run(&nft(&all.join("; "))).await?;
        Ok(())
    }

    /// Lets everything be again.
    pub(crate) async fn clear(&self) -> Result {
        let table = &self.table;
        self.dom0.run(&nft(&format!("delete table {table}; add table {table}"))).await?;
        Ok(())
    }
}
