"""Of the soak and the resources, K-01 to K-08, what no test carries, or not to the letter."""

PARTLY = {
    "K-05": "20,000 rows; AIGATEWAY_TEST_LOG_ROWS makes it more; sums stay, room on disk is not given back by itself",
}
AT_LENGTH = {
    "K-01": "2,000 requests in every run, where only the counts are judged; 200,000 in `tox -e soak`",
    "K-02": "some seconds in every run, where only the counts are judged; half an hour in `tox -e soak`",
    "K-06": "1,200 clients in every run, 15,000 in `tox -e soak`",
}
