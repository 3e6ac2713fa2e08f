//! `diff`: where the mesh is not what documents say, and who made it so.

use mesh_proto::manifest::{Key, Object, diff};
use mesh_proto::v1;

use super::Manifests;
use super::apply::{Wish, is_as_wished};
use crate::control::convert;
use crate::control::error::Failure;
use crate::intent::Entry;
use crate::state::View;

impl Manifests {
    /// Each wished object beside the live one; diffs lead from the documents to the mesh.
    pub(super) async fn drift(
        &self,
        request: &v1::ApplyRequest,
    ) -> Result<v1::DiffResponse, Failure> {
        let wish = Wish::read(request)?;
        let view = self.core.view().await?;
        let node = &self.core.daemon.identity.node;
        let mut changes = Vec::with_capacity(wish.objects.len());
        for object in &wish.objects {
            let key = object.key();
            let live = view.declared.effective(&key, node);
            let action = match &live {
                _ if is_as_wished(&view.declared, object, wish.set.as_ref(), node) => {
                    v1::Action::Unchanged
                }
                Some(_) => v1::Action::Configured,
                None => v1::Action::Created,
            };
            changes.push(self.difference(&view, &key, action, (Some(object), live.as_ref())).await);
        }
        for key in wish.superfluous(&view.declared) {
            let live = view.declared.effective(&key, node);
            let sides = (None, live.as_ref());
            changes.push(self.difference(&view, &key, v1::Action::Deleted, sides).await);
        }
        Ok(v1::DiffResponse { changes, generation: view.snapshot.generation })
    }

    async fn difference(
        &self,
        view: &View,
        key: &Key,
        action: v1::Action,
        (wished, live): (Option<&Object>, Option<&Object>),
    ) -> v1::ObjectChange {
        if action == v1::Action::Unchanged {
            return convert::object_change(key, action, String::new());
        }
        let origins = view.declared.origins(key);
        let newest = origins.iter().map(|origin| origin.generation).max();
        let entry = match newest {
            Some(generation) => self.core.daemon.store.entry(generation).await,
            None => None,
        };
        let detail = entry.map(|entry| changed_by(&entry)).unwrap_or_default();
        v1::ObjectChange { diff: diff(wished, live), ..convert::object_change(key, action, detail) }
    }
}

/// "changed 4m ago by ana: meshctl split web v1=70 v2=30"
fn changed_by(entry: &Entry) -> String {
    let author = &entry.delta.author;
    let ago = convert::ago(entry.delta.time_ms);
    let by = format!("changed {ago} ago by {}", author.user);
    if author.command_line.is_empty() { by } else { format!("{by}: {}", author.command_line) }
}
