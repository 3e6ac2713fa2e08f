//! `history`, `undo` and `export`.

use mesh_proto::manifest::{Object, to_yaml_stream};
use mesh_proto::v1;

use super::{Manifests, any_kind};
use crate::control::answer;
use crate::control::authorise::Peer;
use crate::control::convert;
use crate::control::error::Failure;
use crate::control::views::Wanted;
use crate::state::{Draft, Past};

impl Manifests {
    pub(super) async fn past(&self, limit: u32) -> Result<v1::HistoryResponse, Failure> {
        self.core.view().await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let past = self.core.daemon.store.history(limit).await?;
        Ok(v1::HistoryResponse { entries: past.iter().map(entry).collect() })
    }

    pub(super) async fn take_back(
        &self,
        peer: Peer,
        request: v1::UndoRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let reversal = self.core.daemon.store.reversal(request.generation, request.to).await?;
        let edit = |draft: &mut Draft| Ok(reversal.apply(draft)?);
        let outcome = self.core.change(peer, request.mutation, edit).await?;
        let detail = match request.to {
            Some(to) => format!("as at generation {to}"),
            None => String::new(),
        };
        let lines = outcome.changes.iter().map(|change| answer::line(change, &detail));
        let lines = lines.collect();
        Ok(answer::response(&outcome, lines))
    }

    pub(super) async fn exported(
        &self,
        request: v1::ExportRequest,
    ) -> Result<v1::ExportResponse, Failure> {
        let v1::ExportRequest { kind, namespace, name, at } = request;
        let wanted = Wanted { kind: any_kind(&kind)?, namespace, name };
        let store = &self.core.daemon.store;
        let (declared, generation) = match at {
            0 => {
                let view = self.core.view().await?;
                (view.declared, view.snapshot.generation)
            }
            at => (store.at(at).await?, at),
        };
        let objects = declared.all_effective(&self.core.daemon.identity.node);
        let objects: Vec<&Object> =
            objects.iter().filter(|(key, _)| wanted.holds(key)).map(|(_, object)| object).collect();
        Ok(v1::ExportResponse { yaml: to_yaml_stream(objects), generation })
    }
}

fn entry(past: &Past) -> v1::HistoryEntry {
    let delta = &past.entry.delta;
    v1::HistoryEntry {
        generation: past.entry.revision,
        time: Some(convert::timestamp(delta.time_ms)),
        user: delta.author.user.clone(),
        uid: delta.author.uid,
        pid: delta.author.pid,
        command_line: delta.author.command_line.clone(),
        reason: delta.reason.clone(),
        changes: past.changes.iter().map(|change| answer::line(change, "")).collect(),
    }
}
