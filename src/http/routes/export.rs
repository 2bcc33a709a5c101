//! The roster's own bytes as an archive.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;

use crate::http::error::ApiError;
use crate::registry::{ExportedFile, Registry};

/// The agents' files as they came in, as a tar archive. Archived agents are left out.
///
/// A file lies where it came from; one that came by the API is named after its agent. A sync of the unpacked folder
/// makes the same revisions, by hash, elsewhere.
#[utoipa::path(
    get, path = "/admin/v1/export", tag = "admin",
    responses((status = 200, description = "The archive", body = Vec<u8>, content_type = "application/x-tar"))
)]
pub async fn get_export(State(registry): State<Registry>) -> Result<Response, ApiError> {
    let export = registry.export().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"agents.tar\""),
    ];
    let archive = tar::Builder::new(Vec::new());
    let pieces = stream::try_unfold(Some((export, archive)), |state| async move {
        let Some((mut export, mut archive)) = state else { return Ok(None) };
        let files = export.next_files().await.map_err(std::io::Error::other)?;
        if files.is_empty() {
            let end = archive.into_inner()?;
            return Ok::<_, std::io::Error>(Some((Bytes::from(end), None)));
        }
        for file in &files {
            append(&mut archive, file)?;
        }
        let piece = Bytes::from(std::mem::take(archive.get_mut()));
        Ok(Some((piece, Some((export, archive)))))
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn append(archive: &mut tar::Builder<Vec<u8>>, file: &ExportedFile) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(file.source.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(u64::try_from(file.created_at.timestamp()).unwrap_or(0));
    archive.append_data(&mut header, &file.path, file.source.as_slice())
}
