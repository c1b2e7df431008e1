-- How a running operation goes on, as its host says, and the image, by its digest, that the operation runs. The first counts
-- while the operation runs only: an earlier version leaves it behind. Rows from before have neither, so nothing is left to
-- validate.
alter table operations
    add column progress text,
    add column image text,
    add constraint operations_progress check (char_length(progress) <= 200) not valid,
    add constraint operations_image check (char_length(image) <= 500) not valid;
