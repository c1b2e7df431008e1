//! Routes that know of themselves: which methods a resource takes, and what each asks of its caller.

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

/// The path of every resource begins with this.
pub(crate) const PREFIX: &str = "/api/v1";

/// The resources of the API.
#[derive(Default)]
pub(crate) struct Table(Vec<Resource>);

/// A path and the methods that it takes. Every other method is answered with a problem that names them.
struct Resource {
    path: String,
    routes: Vec<Served>,
    handlers: Vec<Route>,
}

/// One method of one resource.
pub(crate) struct Served {
    pub(crate) path: String,
    pub(crate) method: Method,
    /// One of these permissions is needed; none where any valid key will do.
    pub(crate) any_of: &'static [Permission],
    /// Problems that the route alone has; the others follow from its form.
    pub(crate) problems: &'static [Code],
    /// The OpenAPI document of this route alone.
    pub(crate) document: OpenApi,
}

impl Table {
    /// Adds a route. `document` describes it and nothing else.
    pub(crate) fn add<F, Args>(&mut self, handler: F, document: OpenApi, problems: &'static [Code])
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        for (path, method) in described(&document) {
            let resource = self.resource(&path);
            resource.handlers.extend(match method {
                // A HEAD is answered like a GET, without the body.
                Method::GET => {
                    vec![web::get().to(handler.clone()), web::head().to(handler.clone()).wrap(from_fn(without_body))]
                }
                // What is sent again under one `Idempotency-Key` is done once.
                Method::POST => vec![web::post().to(handler.clone()).wrap(from_fn(idempotency::once))],
                _ => vec![web::method(method.clone()).to(handler.clone())],
            });
            let document = document.clone();
            resource.routes.push(Served { path, method, any_of: Args::ANY_OF, problems, document });
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
        // The router tries them in order: paths without an id are compared, the others searched for their parts.
        self.0.sort_by_key(|resource| resource.path.contains('{'));
        self.0.into_iter().fold(web::scope(PREFIX), |scope, resource| scope.service(resource))
    }

    /// The routes, for the documentation. A resource that is read takes HEAD too, which needs no words.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Served> {
        self.0.iter().flat_map(|resource| &resource.routes)
    }
}

/// The paths and methods that a document describes.
fn described(document: &OpenApi) -> Vec<(String, Method)> {
    let methods = |item: &PathItem| {
        [
            item.get.is_some().then_some(Method::GET),
            item.post.is_some().then_some(Method::POST),
            item.patch.is_some().then_some(Method::PATCH),
            item.delete.is_some().then_some(Method::DELETE),
        ]
    };
    let paths = &document.paths.paths;
    paths.iter().flat_map(|(path, item)| methods(item).into_iter().flatten().map(|it| (path.clone(), it))).collect()
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

/// Also of an answer that has no end.
async fn without_body(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| BoxBody::new(Unsent(body.size()))))
}

/// A body of which only the size is told.
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
