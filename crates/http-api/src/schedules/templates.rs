//! Templates of schedules.

use actix_web::web::{Json, Query};
use agis_scheduler::template::{self, Draft, Template};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    shapes::UTC,
    steps::{self, StepDto},
};
use crate::{
    auth::{May, ReadSchedules, Somewhere},
    page::{List, list_query},
    problem::Problem,
};

list_query! {
    TemplatesQuery {}
}

/// A template of one schedule or more.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduleTemplate, examples(json!({
    "name": "nightly-restart", "title": "Nightly restart at 05:00, with a warning", "schedules": [{
        "cron_expression": "0 5 * * *", "timezone": "UTC", "steps": [{ "do": "restart", "warn": ["15m", "5m", "1m"] }],
        "finally": []
    }]
})))]
pub(crate) struct TemplateDto {
    name: &'static str,
    /// The title for people.
    title: &'static str,
    /// The bodies of `POST /schedules`, but for `server_id` or `label`.
    schedules: Vec<DraftDto>,
}

/// A schedule without its servers.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduleDraft)]
struct DraftDto {
    cron_expression: &'static str,
    /// Replace it by yours.
    timezone: &'static str,
    steps: Vec<StepDto>,
    finally: Vec<StepDto>,
}

impl DraftDto {
    fn of(draft: &Draft) -> Option<Self> {
        let work = draft.work().ok()?;
        Some(Self {
            cron_expression: draft.cron,
            timezone: UTC,
            steps: steps::shown(&work.steps),
            finally: steps::shown(&work.finally),
        })
    }
}

impl From<&Template> for TemplateDto {
    fn from(template: &Template) -> Self {
        let schedules = template.drafts.iter().filter_map(DraftDto::of).collect();
        Self { name: template.name, title: template.title, schedules }
    }
}

/// List templates of schedules
///
/// Add `server_id` or `label` to each schedule of a template, set your `timezone`, and create it. Sorted by `name`.
#[utoipa::path(
    get, path = "/api/v1/schedules/templates", operation_id = "listScheduleTemplates", tag = "schedules",
    params(TemplatesQuery),
    responses((status = 200, description = "One page of the list.", body = List<TemplateDto>)),
)]
pub(crate) async fn list(
    _: May<ReadSchedules, Somewhere>,
    query: Query<TemplatesQuery>,
) -> Result<Json<List<TemplateDto>>, Problem> {
    let (after, limit) = query.piece::<String>()?;
    let templates =
        template::ALL.iter().filter(|template| after.as_ref().is_none_or(|after| template.name > after.as_str()));
    let templates = templates.take(limit as usize).map(TemplateDto::from);
    Ok(Json(List::new(templates.collect(), limit, |template| template.name)))
}
