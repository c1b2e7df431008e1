alter table operations drop column killed_after_grace;
