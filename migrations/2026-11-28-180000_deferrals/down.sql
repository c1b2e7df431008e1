-- Answers of a bot that dies stay unanswered after this.
drop table deferrals;
