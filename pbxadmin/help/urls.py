from django.urls import path

from . import views

app_name = "help"
urlpatterns = [
    path("help/", views.help_page, name="index"),
    path("help/<path:slug>/", views.help_page, name="page"),
]
