//! Builds resources from routes: handlers by method, and the 405 of all other methods.

use actix_web::{
    FromRequest, Handler, Responder, Route, Scope,
    body::{BodySize, BoxBody, MessageBody},
    dev::{AppService, HttpServiceFactory, ServiceRequest, ServiceResponse},
    http::Method,
    middleware::{Next, from_fn},
    web,
};
use agis_apikeys::Permission;
use utoipa::openapi::{OpenApi, PathItem};

use crate::{
    auth::Asks,
    idempotency, network,
    problem::{Code, Problem},
};

/// The beginning of every resource's path.
pub(crate) const PREFIX: &str = "/api/v1";

/// The resources of the API.
#[derive(Default)]
pub(crate) struct Table(Vec<Resource>);

/// A path and the methods that it takes. Every other method is answered with a problem that lists them.
struct Resource {
    path: String,
    routes: Vec<Served>,
    handlers: Vec<Route>,
}

/// Method of a resource.
pub(crate) struct Served {
    pub(crate) path: String,
    pub(crate) method: Method,
    /// The caller needs one of these permissions. Empty where any valid key is enough.
    pub(crate) any_of: &'static [Permission],
    /// Whether a request that is repeated under one `Idempotency-Key` is done once.
    pub(crate) done_once: bool,
    /// Problems of this route alone; rules add the others.
    pub(crate) problems: &'static [Code],
    /// The OpenAPI document of this route alone.
    pub(crate) document: OpenApi,
}

impl Table {
    /// Adds a route. `document` describes only this route.
    pub(crate) fn add<F, Args>(&mut self, handler: F, document: OpenApi, problems: &'static [Code])
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        for (path, method) in described(&document) {
            let done_once = method == Method::POST || starts_operation(&document);
            let resource = self.resource(&path);
            resource.handlers.extend(match method {
                // A HEAD is answered like a GET, without the body.
                Method::GET => {
                    vec![web::get().to(handler.clone()), web::head().to(handler.clone()).wrap(from_fn(without_body))]
                }
                _ if done_once => {
                    vec![web::method(method.clone()).to(handler.clone()).wrap(from_fn(idempotency::once))]
                }
                _ => vec![web::method(method.clone()).to(handler.clone())],
            });
            let document = document.clone();
            resource.routes.push(Served { path, method, any_of: Args::ANY_OF, done_once, problems, document });
        }
    }

    fn resource(&mut self, path: &str) -> &mut Resource {
        let known = self.0.iter().position(|resource| resource.path == path);
        let index = known.unwrap_or_else(|| {
            self.0.push(Resource { path: path.to_owned(), routes: vec![], handlers: vec![] });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Builds the scope of all resources.
    pub(crate) fn into_scope(mut self) -> Scope {
        // The router tries resources in order, and compares paths without an id faster.
        self.0.sort_by_key(|resource| resource.path.contains('{'));
        self.0.into_iter().fold(web::scope(PREFIX), |scope, resource| scope.service(resource))
    }

    /// Returns the routes, for the document. It leaves out HEAD, which every GET implies.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Served> {
        self.0.iter().flat_map(|resource| &resource.routes)
    }
}

/// Returns the paths and methods that a document describes.
fn described(document: &OpenApi) -> Vec<(String, Method)> {
    let methods = |item: &PathItem| {
        [
            item.get.is_some().then_some(Method::GET),
            item.post.is_some().then_some(Method::POST),
            item.put.is_some().then_some(Method::PUT),
            item.patch.is_some().then_some(Method::PATCH),
            item.delete.is_some().then_some(Method::DELETE),
        ]
    };
    let paths = &document.paths.paths;
    paths.iter().flat_map(|(path, item)| methods(item).into_iter().flatten().map(|it| (path.clone(), it))).collect()
}

/// Tells whether the route answers 202 with an operation to follow.
fn starts_operation(document: &OpenApi) -> bool {
    let operations = document.paths.paths.values().flat_map(|item| [&item.post, &item.delete]);
    operations.flatten().any(|operation| operation.responses.responses.contains_key("202"))
}

impl Resource {
    fn allow(&self) -> String {
        let is_read = self.routes.iter().any(|route| route.method == Method::GET);
        let methods = self.routes.iter().map(|route| route.method.as_str());
        methods.chain(is_read.then_some("HEAD")).collect::<Vec<_>>().join(", ")
    }
}

impl HttpServiceFactory for Resource {
    fn register(self, config: &mut AppService) {
        let allow = self.allow();
        let other = move || {
            let problem = Problem::method_not_allowed(&allow);
            async { problem }
        };
        let resource = web::resource(self.path.trim_start_matches(PREFIX)).default_service(web::to(other));
        let resource = self.handlers.into_iter().fold(resource, actix_web::Resource::route);
        resource.wrap(from_fn(network::deadline)).register(config);
    }
}

/// Removes the body of an answer, even an endless one.
async fn without_body(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| BoxBody::new(Unsent(body.size()))))
}

/// A body of which only the size is sent.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<web::Bytes, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}
