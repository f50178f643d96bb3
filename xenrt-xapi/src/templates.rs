//! Templates that this library makes of guests.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::model::{Guest, Host, Template, Templates};
use xenrt_core::{Error, Result};

use crate::host::XapiHost;
use crate::parse::{records, values};
use crate::xe::{XeCommand, XeError};

/// The key in `other-config` of templates that this library made; no other is ever removed.
const MARK: &str = "xenrt-template";

/// The templates of the pool.
#[derive(Debug, Clone)]
pub(crate) struct XapiTemplates(pub(crate) XapiHost);

#[async_trait]
impl Templates for XapiTemplates {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Templates> {
        Arc::new(self.clone())
    }

    /// One call.
    async fn list(&self) -> Result<Vec<Template>> {
        let list = XeCommand::new("template-list").fields(&["uuid", "name-label", "other-config"]);
        let text = self.0.xe().run(&list).await;
        let text = text.map_err(|error| error.during("list", "templates"))?;
        let template = |record: Result<crate::parse::Record<'_>>| {
            let record = record?;
            let config = record.get("other-config").map(values::map).unwrap_or_default();
            Ok(Template {
                id: record.parse::<Uuid>("uuid")?.to_string(),
                name: record.require("name-label")?.to_owned(),
                own: config.contains_key(MARK),
            })
        };
        records(&text).map(template).collect()
    }

    /// Three calls, and one a VIF: what is made of a template would get copies of them.
    async fn request_convert(&self, guest: &dyn Guest) -> Result<Template> {
        let (name, uuid, xe) = (guest.name(), guest.uuid(), self.0.xe());
        let object = format!("guest {name:?}");
        let during = |error: XeError| error.during("convert", &object);
        let vifs = XeCommand::new("vif-list").param("vm-uuid", uuid.to_string());
        for vif in xe.uuids(vifs).await.map_err(during)? {
            match xe.repeat(&XeCommand::new("vif-destroy").uuid(vif), |_| false).await {
                Err(error) if error.is_missing_object() => {}
                result => result.map_err(during)?,
            }
        }
        let convert = XeCommand::new("vm-param-set")
            .uuid(uuid)
            .param(format!("other-config:{MARK}"), "true")
            .param("is-a-template", "true");
        // The same when it is done twice, but that it is no VM any more then.
        xe.repeat(&convert, XeError::is_missing_object).await.map_err(during)?;
        self.0.shared.forget(uuid);
        self.0.shared.know_templates(Vec::new());
        let id = uuid.to_string();
        let made = self.list().await?.into_iter().find(|template| template.id == id);
        made.ok_or_else(|| {
            let (kind, message) = (xenrt_core::ToolstackErrorKind::Other, "it is none after that");
            crate::error::refusal(kind, "convert", &object, message)
        })
    }

    /// Its disks go with it. One call.
    async fn request_remove(&self, template: &Template) -> Result<()> {
        let object = format!("template {:?}", template.name);
        let uuid: Uuid = template
            .id
            .parse()
            .map_err(|_| Error::invalid(object.as_str(), "its id is no UUID of xapi"))?;
        let remove = XeCommand::new("template-uninstall").param("template-uuid", uuid.to_string());
        let xe = self.0.xe();
        let removed = xe.repeat(&remove, |_| false).await;
        self.0.shared.know_templates(Vec::new());
        match removed {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map_err(|error| error.during("remove", &object)),
        }
    }
}
