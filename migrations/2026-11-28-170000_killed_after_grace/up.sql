-- Whether what ran had to be killed for an operation, since it did not end within the grace of its game. Null: the operation
-- has not ended, its host cannot know, or an earlier version carried it out.
alter table operations add column killed_after_grace boolean;
