alter table operations drop column progress, drop column image;
